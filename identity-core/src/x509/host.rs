//! Reads a host: a DNS name or an IP address. Made here because the readers of `core` and of pki-types keep panic branches.

use heapless::Vec;
use pki_types::{DnsName, IpAddr, Ipv4Addr, ServerName};

/// A DNS name, an IPv4 address, or an IPv6 address (RFC 4291 §2.2, without the form that ends in an IPv4 address).
pub(super) fn server_name(host: &str) -> Option<ServerName<'_>> {
    if let Ok(name) = DnsName::try_from(host) {
        return Some(ServerName::DnsName(name));
    }
    Some(ServerName::IpAddress(match Ipv4Addr::try_from(host) {
        Ok(address) => IpAddr::V4(address),
        Err(_) => IpAddr::V6(ipv6(host.as_bytes())?.into()),
    }))
}

fn ipv6(text: &[u8]) -> Option<[u16; 8]> {
    let gap = text.windows(2).position(|pair| pair == b"::");
    let (left, right) = match gap.and_then(|at| text.split_at_checked(at)) {
        Some((left, right)) => (groups(left)?, groups(right.get(2..)?)?),
        None => (groups(text)?, Vec::new()),
    };
    // the gap stands for one group at least
    match left.len().saturating_add(right.len()) {
        0..=7 if gap.is_some() => {}
        8 if gap.is_none() => {}
        _ => return None,
    }
    let mut address = [0; 8];
    address.iter_mut().zip(left).for_each(|(to, from)| *to = from);
    address.iter_mut().rev().zip(right.iter().rev()).for_each(|(to, &from)| *to = from);
    Some(address)
}

fn groups(text: &[u8]) -> Option<Vec<u16, 8>> {
    let mut groups = Vec::new();
    if text.is_empty() {
        return Some(groups);
    }
    for digits in text.split(|&octet| octet == b':') {
        if !(1..=4).contains(&digits.len()) {
            return None;
        }
        let digit = |&octet: &u8| char::from(octet).to_digit(16);
        let group = digits.iter().try_fold(0, |sum: u32, octet| Some((sum << 4) | digit(octet)?))?;
        groups.push(group as u16).ok()?;
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn theirs(text: &str) -> Option<[u16; 8]> {
        text.parse::<Ipv6Addr>().ok().map(|address| address.segments())
    }

    #[test]
    fn addresses_read_as_the_standard_library_reads_them() {
        for text in [
            "::",
            "::1",
            "1::",
            "1::2",
            "2001:db8::7:8",
            "1:2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7::",
            "::2:3:4:5:6:7:8",
            "",
            ":",
            ":::",
            "1:",
            ":1",
            "1::2::3",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1:2:3:4::5:6:7:8",
            "12345::",
            "g::",
            "::1%1",
        ] {
            assert_eq!(ipv6(text.as_bytes()), theirs(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_reads_as_the_standard_library_reads_it(text in "[0-9a-fA-F:]{0,40}|([0-9a-f]{0,5}:){0,8}[0-9a-f]{0,4}") {
            prop_assert_eq!(ipv6(text.as_bytes()), theirs(&text));
        }

        #[test]
        fn any_address_is_read(octets: [u8; 16]) {
            let address = Ipv6Addr::from(octets);
            // to_ipv4_mapped and compatible addresses are written with an IPv4 tail, which is not read
            let text = std::format!("{address}");
            prop_assume!(!text.contains('.'));
            prop_assert_eq!(ipv6(text.as_bytes()), Some(address.segments()));
        }
    }

    #[test]
    fn names_and_addresses_are_told_apart() {
        assert!(matches!(server_name("est.plant.example"), Some(ServerName::DnsName(_))));
        assert!(matches!(server_name("10.0.0.7"), Some(ServerName::IpAddress(IpAddr::V4(_)))));
        assert!(matches!(server_name("fd00::7"), Some(ServerName::IpAddress(IpAddr::V6(_)))));
        assert!(server_name("not a host").is_none());
    }
}
