//! Arrays shared with the programs through memory: a map's elements, mapped into this process.
//!
//! Both sides read and write at once, so nothing here is ever borrowed: elements are loaded and stored whole, words
//! atomically.

use std::{
    ffi::c_void,
    marker::PhantomData,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use fissure_abi::{Control, HITS_MAX, RULES_MAX, Rule, control::active_word};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use crate::InjectError;

/// A map of the kind "array, mappable" in this process's memory.
struct Mapped<T> {
    base: NonNull<T>,
    bytes: usize,
    len: usize,
    _map: MapData,
    _element: PhantomData<T>,
}

// SAFETY: the memory belongs to the map and outlives this value; every access below is atomic or volatile, and writers of
// more than a word are kept to one by `&mut` at the callers.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T> Mapped<T> {
    /// Takes a map out of the object and maps its `len` elements. `T` has the size the programs gave the elements, and
    /// that size is a multiple of 8, which is what the kernel spaces elements by; `u32` alone is padded.
    fn take(ebpf: &mut Ebpf, name: &'static str, len: u32) -> Result<Self, InjectError> {
        let data = match ebpf.take_map(name) {
            Some(Map::Array(data)) => data,
            _ => return Err(InjectError::Mismatch { kind: "map", name: name.into() }),
        };
        let len = len as usize;
        let bytes = len * Self::STRIDE;
        let wanted = NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping at an address the kernel chooses; the kernel refuses a length the map does not have.
        let base = unsafe { mmap(None, wanted, protection, MapFlags::MAP_SHARED, data.fd().as_fd(), 0) }
            .map_err(|errno| InjectError::Map { name, source: Box::new(errno) })?;
        Ok(Self { base: base.cast(), bytes, len, _map: data, _element: PhantomData })
    }

    /// The kernel rounds the size of an element up to 8.
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    fn at(&self, index: usize) -> *mut T {
        assert!(index < self.len, "index {index} of {}", self.len);
        // SAFETY: the index was just checked, and the mapping has `len * STRIDE` bytes.
        unsafe { self.base.as_ptr().byte_add(index * Self::STRIDE) }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `take` and nothing points into it any more.
        let _ = unsafe { munmap(self.base.cast::<c_void>(), self.bytes) };
    }
}

/// All the memory shared with the programs.
pub(crate) struct Shared {
    control: Mapped<Control>,
    rules: Mapped<Rule>,
    hit_places: Mapped<u32>,
    hits: Mapped<u64>,
    counters: Mapped<u64>,
}

impl Shared {
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, InjectError> {
        Ok(Self {
            control: Mapped::take(ebpf, "CONTROL", 1)?,
            rules: Mapped::take(ebpf, "RULES", 2 * RULES_MAX)?,
            hit_places: Mapped::take(ebpf, "HIT_PLACES", 2 * RULES_MAX)?,
            hits: Mapped::take(ebpf, "HITS", HITS_MAX)?,
            counters: Mapped::take(ebpf, "COUNTERS", fissure_abi::Counter::ALL.len() as u32)?,
        })
    }

    fn word64(word: *mut u64) -> &'static AtomicU64 {
        // SAFETY: callers pass aligned words of a mapping that lives as long as `self`, and use the result at once.
        unsafe { AtomicU64::from_ptr(word) }
    }

    fn word32(word: *mut u32) -> &'static AtomicU32 {
        // SAFETY: as in `word64`.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// Sets the moment the lease ends; 0 ends it at once.
    pub(crate) fn set_lease(&self, expires_ns: u64) {
        // SAFETY: the one element; the field's address stays inside it.
        Self::word64(unsafe { &raw mut (*self.control.at(0)).lease_expires_ns }).store(expires_ns, Ordering::SeqCst);
    }

    /// The moment the lease ends.
    pub(crate) fn lease(&self) -> u64 {
        // SAFETY: as in `set_lease`.
        Self::word64(unsafe { &raw mut (*self.control.at(0)).lease_expires_ns }).load(Ordering::SeqCst)
    }

    /// Sets `Control::flags`.
    pub(crate) fn set_flags(&self, flags: u64) {
        // SAFETY: as in `set_lease`.
        Self::word64(unsafe { &raw mut (*self.control.at(0)).flags }).store(flags, Ordering::SeqCst);
    }

    /// Writes a table that is not in use and then puts it in use. Only one thread may do this at a time.
    pub(crate) fn write_table(&self, table: u32, revision: u32, rules: &[Rule], places: &[u32]) {
        assert_eq!(rules.len(), places.len());
        let first = (table & 1) as usize * RULES_MAX as usize;
        // SAFETY: the one element; the index of the header is 0 or 1.
        let header = unsafe { &raw mut (*self.control.at(0)).tables[(table & 1) as usize] };
        // SAFETY: `header` points into the mapping.
        let (header_revision, header_count) = unsafe { (&raw mut (*header).revision, &raw mut (*header).rule_count) };
        Self::word32(header_revision).store(0, Ordering::SeqCst);
        // A straggler still reading this table must see that it is not his any more before it sees a new field.
        for index in 0..rules.len() {
            // SAFETY: `at` checks the index; the field's address stays inside the element.
            let revision = unsafe { &raw mut (*self.rules.at(first + index)).revision };
            Self::word32(revision).store(0, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        for (index, (rule, place)) in rules.iter().zip(places).enumerate() {
            let unpublished = Rule { revision: 0, ..*rule };
            // SAFETY: `at` checks the index, and elements are aligned to 8.
            unsafe { ptr::write_volatile(self.rules.at(first + index), unpublished) };
            Self::word32(self.hit_places.at(first + index)).store(*place, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        for index in 0..rules.len() {
            // SAFETY: as above.
            let word = unsafe { &raw mut (*self.rules.at(first + index)).revision };
            Self::word32(word).store(revision, Ordering::Relaxed);
        }
        Self::word32(header_count).store(rules.len() as u32, Ordering::SeqCst);
        Self::word32(header_revision).store(revision, Ordering::SeqCst);
        // SAFETY: as in `set_lease`.
        let active = unsafe { &raw mut (*self.control.at(0)).active };
        Self::word64(active).store(active_word(revision, table), Ordering::SeqCst);
    }

    /// Hits counted at a place.
    pub(crate) fn hits(&self, place: u32) -> u64 {
        Self::word64(self.hits.at(place as usize)).load(Ordering::Relaxed)
    }

    /// A counter's value.
    pub(crate) fn counter(&self, counter: fissure_abi::Counter) -> u64 {
        Self::word64(self.counters.at(counter as usize)).load(Ordering::Relaxed)
    }
}
