//! Addresses, names and ids: pure functions of the configuration, so that a run's addresses are the same every time.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{LabError, Result};

/// Letters of a lab id: base 32 without the four that are easily misread (i, l, o, u).
const ID_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Number of letters in a lab id (30 bits).
pub(crate) const ID_LENGTH: usize = 6;

/// Prefix of everything a lab creates that has a name visible outside it.
pub(crate) const PREFIX: &str = "fsr";

/// Name of the namespace that holds the bridge; no host may have it.
pub(crate) const SWITCH: &str = "switch";

/// Most hosts of one lab: one last octet each, without network, broadcast and a few to spare.
pub(crate) const HOSTS_MAX: usize = 250;

/// The id that random bits stand for.
pub(crate) fn id_from_bits(bits: u32) -> String {
    (0..ID_LENGTH).map(|n| ID_LETTERS[(bits >> (5 * n)) as usize & 31] as char).collect()
}

/// Whether a string could be the id of a lab.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|b| ID_LETTERS.contains(&b))
}

/// Name of the network namespace of a host.
pub(crate) fn netns_name(id: &str, host: &str) -> String {
    format!("{PREFIX}-{id}-{host}")
}

/// The IPv4 address of host number `n` (counted from 1) in a /24 network.
pub(crate) fn v4(network: Ipv4Addr, n: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, n)
}

/// The IPv6 address of host number `n` (counted from 1) in a /64 network. The number is written as the decimal digits
/// of the IPv4 address' last octet, so that `10.77.0.12` and `fd00:f155::12` are seen to be the same host.
pub(crate) fn v6(network: Ipv6Addr, n: u8) -> Ipv6Addr {
    let n = u16::from(n);
    let digits = ((n / 100) << 8) | ((n / 10 % 10) << 4) | (n % 10);
    let mut segments = network.segments();
    segments[7] = digits;
    Ipv6Addr::from(segments)
}

/// The Ethernet address of host number `n`: locally administered, the same in every run.
pub(crate) fn mac(n: u8) -> String {
    format!("02:f1:55:00:00:{n:02x}")
}

/// Checks the name of a host: it is part of a namespace's, a link's and a cgroup's name.
pub(crate) fn check_host_name(name: &str) -> Result<()> {
    let fits = (1..=13).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fits {
        let reason = format!("host name {name:?}: 1 to 13 of a-z, 0-9 and '-' (not at an end) are allowed");
        return Err(LabError::InvalidConfig { reason });
    }
    if name == SWITCH || name == "localhost" {
        return Err(LabError::InvalidConfig { reason: format!("host name {name:?} is reserved") });
    }
    Ok(())
}

/// Checks the name of a process: it is the name of a cgroup and of a log file.
pub(crate) fn check_process_name(name: &str) -> Result<()> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !name.starts_with('-');
    if fits {
        return Ok(());
    }
    let reason = format!("process name {name:?}: 1 to 64 letters, digits, '_' and '-' (not first) are allowed");
    Err(LabError::InvalidConfig { reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids() {
        assert_eq!(id_from_bits(0), "000000");
        assert_eq!(id_from_bits(u32::MAX), "zzzzzz");
        assert_eq!(id_from_bits(1), "100000");
        for bad in ["", "00000", "0000000", "00000i", "00000A", "00-000", "../../"] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_id_is_one_and_different_bits_differ(a in 0u32..1 << 30, b in 0u32..1 << 30) {
            prop_assert!(is_id(&id_from_bits(a)));
            prop_assert_eq!(a == b, id_from_bits(a) == id_from_bits(b));
        }

        #[test]
        fn addresses_are_distinct(a in 1u8..=250, b in 1u8..=250) {
            let net4 = Ipv4Addr::new(10, 77, 0, 0);
            let net6: Ipv6Addr = "fd00:f155::".parse().unwrap();
            prop_assert_eq!(a == b, v4(net4, a) == v4(net4, b));
            prop_assert_eq!(a == b, v6(net6, a) == v6(net6, b));
            prop_assert_eq!(v6(net6, a).to_string(), format!("fd00:f155::{a}"));
        }
    }

    #[test]
    fn host_names() {
        for good in ["n1", "a", "clients", "etcd-10", "0"] {
            check_host_name(good).unwrap();
        }
        for bad in ["", "N1", "a.b", "a/b", "-a", "a-", "switch", "localhost", "abcdefghijklmn", "n 1", "ü"] {
            assert!(check_host_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn process_names() {
        for good in ["etcd", "store_1", "A-b"] {
            check_process_name(good).unwrap();
        }
        for bad in ["", "cgroup.procs", "..", "a/b", "-x", "a b"] {
            assert!(check_process_name(bad).is_err(), "{bad:?}");
        }
    }
}
