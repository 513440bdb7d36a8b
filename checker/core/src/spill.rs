//! Where data goes that does not fit the memory a check may use.
//!
//! Checkers do no I/O. What they put aside while they go through a history goes to numbered streams; whoever has a disk
//! implements [`Spill`] (`fissure-history` does, with a file that vanishes with its process). Without one everything
//! stays in memory. The answer is the same either way, to the letter.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;
use thiserror::Error;

/// Data could not be put aside, or not be had back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("cannot {action} what does not fit memory: {detail}")]
pub struct SpillError {
    /// What was tried, as a verb: `write`, `read`.
    pub action: &'static str,
    /// The cause.
    pub detail: String,
}

/// Numbered streams of bytes outside of memory.
pub trait Spill: Debug + Send + Sync {
    /// Adds to the end of a stream.
    ///
    /// # Errors
    /// If there is no room, or the device fails.
    fn append(&self, stream: usize, bytes: &[u8]) -> Result<(), SpillError>;

    /// Adds all of a stream to the end of `bytes`. The stream stays.
    ///
    /// # Errors
    /// If the device fails.
    fn read(&self, stream: usize, bytes: &mut Vec<u8>) -> Result<(), SpillError>;
}

/// How much memory a check may use, and where to put what does not fit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of everything that grows with the history, about. What must stay in memory (some 25 bytes a transaction)
    /// is not counted here.
    pub memory_bytes_max: u64,
    /// Where the rest goes.
    pub spill: Arc<dyn Spill>,
}

/// Something that always takes the same number of bytes.
pub(crate) trait Fixed: Copy {
    /// How many.
    const BYTES: usize;

    fn put(self, bytes: &mut Vec<u8>);

    /// From exactly that many bytes.
    fn get(bytes: &[u8]) -> Self;
}

/// Streams of items: in memory up to a limit, then outside.
#[derive(Debug)]
pub(crate) struct Streams<T> {
    kept: Vec<Vec<T>>,
    outside: Option<(Arc<dyn Spill>, usize)>,
    items: usize,
    items_max: usize,
    /// Whether anything was put aside.
    spilled: bool,
    failed: Option<SpillError>,
}

impl<T: Fixed> Streams<T> {
    /// As many streams, in memory.
    pub(crate) fn new(count: usize) -> Self {
        let kept = (0..count).map(|_| Vec::new()).collect();
        Self { kept, outside: None, items: 0, items_max: usize::MAX, spilled: false, failed: None }
    }

    /// From now on not more than some bytes in memory; the rest in streams from the number `first` on.
    pub(crate) fn limit(&mut self, spill: Arc<dyn Spill>, first: usize, bytes_max: u64) {
        // A vector that grows has room for up to twice its items.
        self.items_max = usize::try_from(bytes_max / (2 * T::BYTES as u64)).unwrap_or(usize::MAX);
        self.outside = Some((spill, first));
    }

    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether anything was put aside.
    pub(crate) fn is_spilled(&self) -> bool {
        self.spilled
    }

    pub(crate) fn push(&mut self, stream: usize, item: T) {
        self.kept[stream].push(item);
        self.items += 1;
        if self.items > self.items_max {
            self.flush();
        }
    }

    #[cold]
    fn flush(&mut self) {
        self.items = 0;
        let Some((spill, first)) = &self.outside else { return };
        let mut bytes = Vec::new();
        for (number, kept) in self.kept.iter_mut().enumerate().filter(|(_, kept)| !kept.is_empty()) {
            if self.failed.is_none() {
                bytes.clear();
                bytes.reserve(kept.len() * T::BYTES);
                kept.iter().for_each(|item| item.put(&mut bytes));
                self.failed = spill.append(first + number, &bytes).err();
                self.spilled = true;
            }
            kept.clear();
        }
    }

    /// Everything of a stream, in its order.
    ///
    /// # Errors
    /// Those of the spill, also when it was written.
    pub(crate) fn stream(&self, stream: usize) -> Result<Cow<'_, [T]>, SpillError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let kept = &self.kept[stream];
        let Some((spill, first)) = self.outside.as_ref().filter(|_| self.spilled) else {
            return Ok(Cow::Borrowed(kept));
        };
        let mut bytes = Vec::new();
        spill.read(first + stream, &mut bytes)?;
        let mut items = Vec::with_capacity(bytes.len() / T::BYTES + kept.len());
        items.extend(bytes.chunks_exact(T::BYTES).map(T::get));
        items.extend_from_slice(kept);
        Ok(Cow::Owned(items))
    }

    /// Gives the memory of what is kept back to the system, where it can be had again from outside.
    pub(crate) fn put_aside(&mut self) {
        if self.spilled {
            self.flush();
            self.kept.iter_mut().for_each(|kept| *kept = Vec::new());
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// A device in memory that may be full.
    #[derive(Debug, Default)]
    pub(crate) struct Shelf {
        pub(crate) streams: Mutex<BTreeMap<usize, Vec<u8>>>,
        pub(crate) room: Option<usize>,
    }

    impl Spill for Shelf {
        fn append(&self, stream: usize, bytes: &[u8]) -> Result<(), SpillError> {
            let mut streams = self.streams.lock().unwrap();
            let used: usize = streams.values().map(Vec::len).sum();
            if self.room.is_some_and(|room| used + bytes.len() > room) {
                return Err(SpillError { action: "write", detail: "no room".to_owned() });
            }
            streams.entry(stream).or_default().extend_from_slice(bytes);
            Ok(())
        }

        fn read(&self, stream: usize, bytes: &mut Vec<u8>) -> Result<(), SpillError> {
            bytes.extend_from_slice(self.streams.lock().unwrap().get(&stream).map_or(&[], Vec::as_slice));
            Ok(())
        }
    }

    impl Fixed for u32 {
        const BYTES: usize = 4;

        fn put(self, bytes: &mut Vec<u8>) {
            bytes.extend_from_slice(&self.to_le_bytes());
        }

        fn get(bytes: &[u8]) -> Self {
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        }
    }

    #[test]
    fn streams_come_back_as_they_went_wherever_they_were() {
        for bytes_max in [0, 8, 40, 4_000, u64::MAX] {
            let mut streams: Streams<u32> = Streams::new(3);
            streams.limit(Arc::new(Shelf::default()), 5, bytes_max);
            (0..100).for_each(|item| streams.push(item as usize % 3, item));
            assert_eq!(streams.is_spilled(), bytes_max < 800, "{bytes_max}");
            for again in 0..2 {
                for stream in 0..3 {
                    let items: Vec<u32> = (0..100).filter(|item| item % 3 == stream).collect();
                    assert_eq!(*streams.stream(stream as usize).unwrap(), items, "{bytes_max} {again}");
                }
                streams.put_aside();
            }
        }
    }

    #[test]
    fn a_full_device_is_an_error_and_loses_nothing_silently() {
        let mut streams: Streams<u32> = Streams::new(1);
        streams.limit(Arc::new(Shelf { room: Some(100), ..Shelf::default() }), 0, 80);
        (0..100).for_each(|item| streams.push(0, item));
        assert_eq!(streams.stream(0), Err(SpillError { action: "write", detail: "no room".to_owned() }));
    }
}
