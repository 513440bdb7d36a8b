//! A file for what does not fit memory. It has no name, so that it goes with its process, however that ends.

use crate::error::Error;
use fissure_checker::spill::{Spill, SpillError};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One nameless file, and which parts of it belong to which stream.
#[derive(Debug)]
pub struct FileSpill {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    length: u64,
    /// For each stream (offset, bytes), in order.
    parts: Vec<Vec<(u64, u64)>>,
}

impl FileSpill {
    /// Makes the file in a folder, on whose device it takes room: about 40 bytes for each micro-operation.
    ///
    /// # Errors
    /// If no file can be made there.
    pub fn create(dir: &Path) -> Result<Self, Error> {
        // Made under a name that nobody else has, and unnamed at once.
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".fissure-spill-{}-{number}", std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        Ok(Self { inner: Mutex::new(Inner { file, length: 0, parts: Vec::new() }) })
    }

    fn with<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Inner) -> std::io::Result<T>,
    ) -> Result<T, SpillError> {
        // A panic elsewhere leaves at worst a part that no stream has.
        let mut inner = self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&mut inner).map_err(|error| SpillError { action, detail: error.to_string() })
    }
}

impl Spill for FileSpill {
    fn append(&self, stream: usize, bytes: &[u8]) -> Result<(), SpillError> {
        self.with("write", |inner| {
            let start = inner.length;
            inner.file.seek(SeekFrom::Start(start))?;
            inner.file.write_all(bytes)?;
            inner.length += bytes.len() as u64;
            if inner.parts.len() <= stream {
                inner.parts.resize_with(stream + 1, Vec::new);
            }
            inner.parts[stream].push((start, bytes.len() as u64));
            Ok(())
        })
    }

    fn read(&self, stream: usize, bytes: &mut Vec<u8>) -> Result<(), SpillError> {
        self.with("read", |inner| {
            let Inner { file, parts, .. } = inner;
            for (start, length) in parts.get(stream).into_iter().flatten() {
                file.seek(SeekFrom::Start(*start))?;
                let read = Read::by_ref(file).take(*length).read_to_end(bytes)?;
                if read as u64 != *length {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_come_back_and_the_folder_stays_empty() {
        let dir = tempfile::tempdir().unwrap();
        let spill = FileSpill::create(dir.path()).unwrap();
        let other = FileSpill::create(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        other.append(0, b"other").unwrap();
        for round in 0..10_u8 {
            for stream in [3, 0, 7] {
                spill.append(stream, &[round, stream as u8]).unwrap();
            }
        }
        for stream in [0, 3, 7] {
            let mut bytes = Vec::new();
            spill.read(stream, &mut bytes).unwrap();
            let expected: Vec<u8> = (0..10).flat_map(|round| [round, stream as u8]).collect();
            assert_eq!(bytes, expected);
        }
        let mut bytes = Vec::new();
        spill.read(5, &mut bytes).unwrap();
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(FileSpill::create(Path::new("/proc/no/such")).is_err());
    }
}
