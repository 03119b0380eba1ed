//! The https URLs of an authorization server (RFC 3986 §3), taken apart in place.

use crate::Error;

/// An https URL without user information and fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Url<'a> {
    /// DNS name or IPv4 address.
    pub host: &'a str,
    /// TCP port; 443 if the URL names none.
    pub port: u16,
    /// Path and query; empty, or from the first slash.
    pub path: &'a str,
}

impl<'a> Url<'a> {
    /// Takes `url` apart. `what` names it in errors, such as "token_endpoint".
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is anything but https, host, optional port and path.
    pub fn parse(what: &'static str, url: &'a str) -> Result<Self, Error> {
        let malformed = |problem| Error::Malformed { what, problem };
        let rest = url
            .split_at_checked(8)
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("https://"))
            .ok_or(malformed("its URL does not begin with https://"))?
            .1;
        if !rest.bytes().all(|octet| octet.is_ascii_graphic()) || rest.contains('#') {
            return Err(malformed("its URL holds a space, a control character, a fragment or an octet beyond ASCII"));
        }
        let end = rest.bytes().position(|octet| matches!(octet, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if path.starts_with('?') {
            return Err(malformed("its URL has a query, but no path"));
        }
        let colon = authority.bytes().position(|octet| octet == b':');
        let (host, port) = match colon.and_then(|at| authority.split_at_checked(at)) {
            None => (authority, 443),
            Some((host, port)) => {
                let digits = port.strip_prefix(':').unwrap_or_default();
                let number = digits.bytes().try_fold(0_u16, |sum, octet| {
                    let digit = octet.is_ascii_digit().then_some(octet.wrapping_sub(b'0'))?;
                    sum.checked_mul(10)?.checked_add(u16::from(digit))
                });
                (host, number.filter(|port| *port > 0).ok_or(malformed("its URL has a port that is not 1 to 65535"))?)
            }
        };
        let name = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
        if host.is_empty() || !host.bytes().all(name) {
            return Err(malformed("its URL names no plain host (no user information, no IPv6 address)"));
        }
        Ok(Self { host, port, path })
    }

    /// The path to ask for: a slash if the URL has none.
    #[must_use]
    pub const fn target(&self) -> &'a str {
        if self.path.is_empty() { "/" } else { self.path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_path() {
        let url = |url| Url::parse("x", url);
        assert_eq!(url("https://id.example"), Ok(Url { host: "id.example", port: 443, path: "" }));
        assert_eq!(
            url("HTTPS://id.example:8443/t/a?b=c").unwrap(),
            Url { host: "id.example", port: 8443, path: "/t/a?b=c" }
        );
        assert_eq!(url("https://id.example").unwrap().target(), "/");
        for bad in [
            "http://id.example/",
            "https://",
            "https://:1/",
            "https://a:0/",
            "https://a:65536/",
            "https://a:b/",
            "https://u@a/",
            "https://[::1]/",
            "https://a/#f",
            "https://a/ b",
            "https://a?b",
            "https://ä/",
            "ftp",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
