//! A file that appears when it is whole: written beside its place, synced, renamed. A good file is never replaced by
//! half of one, and what is not finished leaves nothing behind.

use crate::exit::Failure;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is being written beside its place.
pub(crate) struct WholeFile {
    path: PathBuf,
    /// Where it is written; `None` if the place is no plain file, such as a pipe.
    partial: Option<PathBuf>,
    file: BufWriter<File>,
}

impl WholeFile {
    /// Starts a file.
    ///
    /// # Errors
    /// When the place is no name of a file, or the disk refuses.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| cannot_write(path, &error);
        let place = if path.exists() { path.canonicalize().map_err(cannot)? } else { path.to_owned() };
        if place.exists() && !place.is_file() {
            let file = File::options().write(true).open(&place).map_err(cannot)?;
            return Ok(Self { path: place, partial: None, file: BufWriter::new(file) });
        }
        let Some(name) = place.file_name() else {
            return Err(Failure::usage(anyhow::anyhow!("{} is no name of a file", path.display())));
        };
        let partial = format!(".{}.partial-{}", name.to_string_lossy(), std::process::id());
        let partial = place.with_file_name(partial);
        let file = File::create(&partial).map_err(cannot)?;
        Ok(Self { path: place, partial: Some(partial), file: BufWriter::new(file) })
    }

    /// Lets it appear in its place.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let written = self.file.flush();
        if let Some(partial) = self.partial.take() {
            let placed = written.and_then(|()| self.file.get_ref().sync_all());
            return placed.and_then(|()| std::fs::rename(&partial, &self.path)).map_err(|error| {
                // It is of no use to anybody.
                let _ = std::fs::remove_file(&partial);
                cannot_write(&self.path, &error)
            });
        }
        written.map_err(|error| cannot_write(&self.path, &error))
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // What is not finished is not wanted.
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Writes a text as a whole.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = WholeFile::create(path)?;
    file.write_all(text.as_bytes()).map_err(|error| cannot_write(path, &error))?;
    file.finish()
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::cannot_run(anyhow::anyhow!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_and_not_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.csv");
        std::fs::write(&path, "before").unwrap();
        let entries = || std::fs::read_dir(dir.path()).unwrap().count();
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"after").unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), entries()), ("before", 2));
        drop(file);
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), entries()), ("before", 1));
        write_whole(&path, "after").unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), entries()), ("after", 1));
        assert!(WholeFile::create(&dir.path().join("no/such/folder")).is_err());
    }
}
