//! The bytes of what is imported, from their beginning, as often as they are needed.

use crate::error::Error;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of the head by which a format is told.
const HEAD: usize = 16 * 1024;

/// Bytes in which one can go back.
pub(crate) trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// A file, or bytes that stand for one.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    path: PathBuf,
    bytes: Option<Arc<[u8]>>,
}

impl Input {
    pub(crate) fn file(path: &Path) -> Self {
        Self { path: path.to_owned(), bytes: None }
    }

    pub(crate) fn bytes(path: &Path, bytes: &[u8]) -> Self {
        Self { path: path.to_owned(), bytes: Some(Arc::from(bytes)) }
    }

    /// What errors call it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes from the beginning, without the compression of gzip or zstd.
    pub(crate) fn open_text(&self) -> Result<Box<dyn Read + Send>, Error> {
        let mut magic = Vec::with_capacity(4);
        self.open()?.take(4).read_to_end(&mut magic).map_err(Error::io("read", &self.path))?;
        let reader = self.open()?;
        if magic.starts_with(&[0x1f, 0x8b]) {
            return Ok(Box::new(flate2::read::MultiGzDecoder::new(reader)));
        }
        if magic == [0x28, 0xb5, 0x2f, 0xfd] {
            let decoder = zstd::stream::read::Decoder::new(reader).map_err(Error::io("open", &self.path))?;
            return Ok(Box::new(decoder));
        }
        Ok(Box::new(reader))
    }

    /// Its bytes from the beginning, as they are.
    pub(crate) fn open(&self) -> Result<Box<dyn ReadSeek>, Error> {
        match &self.bytes {
            Some(bytes) => Ok(Box::new(std::io::Cursor::new(bytes.clone()))),
            None => {
                let file = std::fs::File::open(&self.path).map_err(Error::io("open", &self.path))?;
                Ok(Box::new(file))
            }
        }
    }

    /// Its first bytes.
    pub(crate) fn head(&self) -> Result<Vec<u8>, Error> {
        let mut head = Vec::new();
        if self.bytes.is_none() && self.path.is_dir() {
            return Ok(head);
        }
        let reader = self.open_text()?;
        reader.take(HEAD as u64).read_to_end(&mut head).map_err(Error::io("read", &self.path))?;
        Ok(head)
    }

    /// Line and column, both from 1 and the column in characters, of places given in order.
    pub(crate) fn lines_and_columns(&self, offsets: &[u64]) -> Result<Vec<(u64, u64)>, Error> {
        let mut reader = BufReader::with_capacity(1 << 20, self.open_text()?);
        let (mut places, mut at, mut line, mut column) = (Vec::with_capacity(offsets.len()), 0_u64, 1_u64, 1_u64);
        let mut buffer = vec![0; 1 << 16];
        while places.len() < offsets.len() {
            let count = reader.read(&mut buffer).map_err(Error::io("read", &self.path))?;
            for byte in &buffer[..count] {
                while offsets.get(places.len()).is_some_and(|offset| *offset <= at) {
                    places.push((line, column));
                }
                at += 1;
                match byte {
                    b'\n' => (line, column) = (line + 1, 1),
                    // What continues a character is no column of its own.
                    0x80..=0xbf => {}
                    _ => column += 1,
                }
            }
            if count == 0 {
                places.resize(offsets.len(), (line, column));
            }
        }
        Ok(places)
    }
}
