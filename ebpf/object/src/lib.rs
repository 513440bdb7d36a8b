//! The compiled eBPF programs, embedded; absent where they were not built.
//!
//! The object is the file named by `FISSURE_BPF_OBJECT` when this crate is built, else `fissure/bpf/fissure.o` under the
//! target directory, where `cargo xtask build` puts it. Invariant: this crate never compiles anything itself.

include!("source_hash.rs");

/// Gives the bytes of the object the alignment that reading an ELF file in place wants.
#[repr(C)]
#[allow(dead_code, reason = "unused in a build without the object")]
struct Aligned<Bytes: ?Sized> {
    align: [u64; 0],
    bytes: Bytes,
}

/// The object file, aligned to 8 bytes; `None` in a build without it.
pub const OBJECT: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/object.rs"));

/// Whether this build has the object.
pub const BUILT: bool = OBJECT.is_some();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_an_aligned_elf_file_for_bpf() {
        assert_eq!(BUILT, OBJECT.is_some());
        let Some(object) = OBJECT else { return };
        assert_eq!(object.as_ptr().align_offset(8), 0);
        assert_eq!(&object[..4], b"\x7fELF");
        assert_eq!(u16::from_le_bytes([object[18], object[19]]), 247, "e_machine");
    }

    #[test]
    fn the_hash_of_the_sources_is_that_of_these_sources() {
        let ebpf = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let hash = source_hash(&ebpf).expect("the sources are here");
        assert_eq!(hash.len(), 16);
        assert_eq!(hash, source_hash(&ebpf).expect("the sources are here"));
    }
}
