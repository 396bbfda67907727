//! Hosts and origins: how they are read, and which are the local machine's own.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest host name, in bytes (RFC 1035).
const MAX_NAME_BYTES: usize = 253;

/// A host and perhaps a port, as in a Host header: the name in lower case, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Reads `name`, `name:port`, `[v6]` or `[v6]:port`; anything else (userinfo, a path, an empty
    /// port) is `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, rest) = if let Some(bracketed) = text.strip_prefix('[') {
            let (address, rest) = bracketed.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), rest)
        } else {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (parse_name(name)?, rest)
        };
        let port = match rest {
            "" => None,
            _ => Some(parse_port(rest.strip_prefix(':')?)?),
        };
        Some(Self { host, port })
    }

    /// Returns whether the host is `localhost`, in `127.0.0.0/8`, or `[::1]`.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host.as_str();
        if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            return address.parse().is_ok_and(|a: Ipv6Addr| a.is_loopback());
        }
        host == "localhost" || host.parse().is_ok_and(|a: Ipv4Addr| a.is_loopback())
    }
}

fn parse_name(name: &str) -> Option<String> {
    let valid = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    valid.then(|| name.to_ascii_lowercase())
}

fn parse_port(digits: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A web origin: scheme, host and port, where the scheme's own port is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`; `null` and anything else is `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
        let rest_valid = scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        if !starts_well || !rest_valid {
            return None;
        }
        Some(Self::new(scheme, Authority::parse(authority)?))
    }

    pub(super) fn new(scheme: &str, mut authority: Authority) -> Self {
        let scheme = scheme.to_ascii_lowercase();
        authority.port = authority.port.or(match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        });
        Self { scheme, authority }
    }

    /// Returns whether this is a page that the local machine serves.
    pub(super) fn is_loopback(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https") && self.authority.is_loopback()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, Origin};

    fn parse(text: &str) -> Option<(String, Option<u16>)> {
        Authority::parse(text).map(|a| (a.host, a.port))
    }

    #[test]
    fn authorities_are_read_in_lower_case() {
        assert_eq!(parse("EVIL.com"), Some(("evil.com".into(), None)));
        assert_eq!(parse("a_b-c.d:8000"), Some(("a_b-c.d".into(), Some(8000))));
        assert_eq!(parse("[0:0::1]:80"), Some(("[::1]".into(), Some(80))));
    }

    #[test]
    fn malformed_authorities_are_refused() {
        for text in [
            "",
            ":80",
            "a:",
            "a:+1",
            "a:65536",
            "a:1:2",
            "a@b",
            "user:pw@b",
            "a/b",
            "a b",
            "a?b",
            "a#b",
            "::1",
            "[::1",
            "[::1]x",
            "[localhost]",
            "a,b",
            "a\tb",
            "é.com",
            "a%2eb",
            "[]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"a".repeat(254)), None);
    }

    #[test]
    fn only_the_local_machine_is_loopback() {
        let loopback = |text| Authority::parse(text).unwrap().is_loopback();
        for text in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8000",
            "127.255.0.9",
            "[::1]:3",
        ] {
            assert!(loopback(text), "{text}");
        }
        for text in [
            "127.0.0.1.evil.com",
            "localhost.evil.com",
            "evil.localhost.com",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "128.0.0.1",
            "[::]",
            "[::2]",
            "localhost.",
        ] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn origins_compare_with_the_port_of_their_scheme() {
        let origin = |text| Origin::parse(text).unwrap();
        assert_eq!(origin("https://A.com"), origin("HTTPS://a.com:443"));
        assert_ne!(origin("https://a.com"), origin("http://a.com"));
        assert_ne!(origin("https://a.com"), origin("https://a.com:8443"));
        for text in [
            "null",
            "",
            "a.com",
            "://a",
            "https://",
            "https://a.com/",
            "1x://a",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_web_pages_have_a_loopback_origin() {
        assert!(
            Origin::parse("http://localhost:6274")
                .unwrap()
                .is_loopback()
        );
        assert!(!Origin::parse("app://localhost").unwrap().is_loopback());
    }
}
