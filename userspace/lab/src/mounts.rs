//! Where cgroup v2 is mounted. Layouts differ: pure v2 at `/sys/fs/cgroup`, hybrid with v2 at
//! `/sys/fs/cgroup/unified`, or no v2 at all; so the mount table is read and no path is assumed.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{LabError, Result};

/// The mount point of cgroup v2 of this process' mount namespace.
pub(crate) fn cgroup2_mount() -> Result<PathBuf> {
    let path = "/proc/self/mounts";
    let table = std::fs::read_to_string(path).map_err(|e| LabError::io("read", path, e))?;
    find_cgroup2(&table).ok_or(LabError::NoCgroup2)
}

/// Finds the first writable cgroup v2 mount in a mount table (the format of `/proc/self/mounts`), or the first
/// read-only one if there is no other.
pub(crate) fn find_cgroup2(table: &str) -> Option<PathBuf> {
    let mut read_only = None;
    for line in table.lines() {
        let mut fields = line.split(' ');
        let (Some(_source), Some(target), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if kind != "cgroup2" {
            continue;
        }
        let target = unescape(target);
        if options.split(',').any(|option| option == "ro") {
            read_only = read_only.or(Some(target));
        } else {
            return Some(target);
        }
    }
    read_only
}

/// Undoes the octal escapes (`\040` for a space) of the mount table.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = bytes.get(at + 1..at + 4).filter(|_| bytes[at] == b'\\');
        match octal.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|s| u8::from_str_radix(s, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_layout() {
        let table = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n";
        assert_eq!(find_cgroup2(table), Some(PathBuf::from("/sys/fs/cgroup")));
    }

    #[test]
    fn hybrid_layout() {
        let table = "tmpfs /sys/fs/cgroup tmpfs ro 0 0\n\
                     cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                     cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        assert_eq!(find_cgroup2(table), Some(PathBuf::from("/sys/fs/cgroup/unified")));
    }

    #[test]
    fn absent_even_if_a_name_looks_like_it() {
        let table = "cgroup2 /sys/fs/cgroup2 tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cgroup2 cgroup rw,cpu 0 0\nodd\n";
        assert_eq!(find_cgroup2(table), None);
        assert_eq!(find_cgroup2(""), None);
    }

    #[test]
    fn a_writable_mount_is_preferred() {
        let table = "a /one cgroup2 ro,relatime 0 0\nb /two cgroup2 rw,errors=ro 0 0\n";
        assert_eq!(find_cgroup2(table), Some(PathBuf::from("/two")));
        assert_eq!(find_cgroup2("a /one cgroup2 ro,relatime 0 0\n"), Some(PathBuf::from("/one")));
    }

    #[test]
    fn escaped_mount_point() {
        let table = "x /mnt/with\\040space\\134 cgroup2 rw 0 0\n";
        assert_eq!(find_cgroup2(table), Some(PathBuf::from("/mnt/with space\\")));
    }
}
