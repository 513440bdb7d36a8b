/// A number that changes when the sources of the eBPF programs do: FNV-1a, 64 bits, over the names and the contents of
/// the files, in order of name, as 16 hexadecimal digits. `ebpf` is the room with `abi` and `programs` in it.
///
/// # Errors
///
/// When a source cannot be read.
pub fn source_hash(ebpf: &std::path::Path) -> std::io::Result<String> {
    let mut files = vec!["programs/Cargo.toml".into(), "programs/Cargo.lock".into(), "programs/.cargo/config.toml".into()];
    for room in ["abi/src", "programs/src"] {
        for entry in std::fs::read_dir(ebpf.join(room))? {
            files.push(std::path::Path::new(room).join(entry?.file_name()));
        }
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let contents = std::fs::read(ebpf.join(&file))?;
        for byte in file.as_os_str().as_encoded_bytes().iter().chain(&[0]).chain(&contents).chain(&[0]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}
