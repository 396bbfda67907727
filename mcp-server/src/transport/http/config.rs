//! [`EdgeConfig`]: by which hosts and from which origins a server may be reached.

use std::net::SocketAddr;

use axum::http::{HeaderValue, Uri};

use super::host::{Authority, Origin};
use super::reply::quote;
use crate::{Error, Result};

/// The largest request body unless told otherwise: 4 MiB.
pub(crate) const DEFAULT_MAX_BODY_BYTES: usize = 4 << 20;

/// How the server may be reached. Loopback hosts and origins are always allowed.
#[derive(Clone, Debug)]
pub(crate) struct EdgeConfig {
    hosts: Vec<Authority>,
    origins: Vec<Origin>,
    max_body_bytes: usize,
    mcp_path: String,
}

impl EdgeConfig {
    /// Reads the options: the server's public URL, further hosts (`name` or `name:port`) and
    /// origins (`scheme://host` or `scheme://host:port`), the largest body, and the path at which
    /// MCP is served.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the option that cannot be read, or `max_body_bytes` when that
    /// is 0.
    pub(crate) fn new(
        base_url: Option<&str>,
        allowed_hosts: &[String],
        allowed_origins: &[String],
        max_body_bytes: usize,
        mcp_path: &str,
    ) -> Result<Self> {
        if max_body_bytes == 0 {
            return Err(Error::InvalidOption {
                option: "max_body_bytes",
                reason: "a message has at least one byte".to_owned(),
            });
        }
        let mut config = Self {
            hosts: Vec::new(),
            origins: Vec::new(),
            max_body_bytes,
            mcp_path: parse_path(mcp_path)?,
        };
        if let Some(url) = base_url {
            let (mut host, origin) = parse_base_url(url)?;
            // A proxy in front of the server may pass on its own port or none.
            host.port = None;
            config.hosts.push(host);
            config.origins.push(origin);
        }
        for text in allowed_hosts {
            let host = Authority::parse(text)
                .ok_or_else(|| invalid("allowed_host", text, "`name` or `name:port`"))?;
            config.hosts.push(host);
        }
        for text in allowed_origins {
            let origin = Origin::parse(text).ok_or_else(|| {
                invalid(
                    "allowed_origin",
                    text,
                    "`scheme://host` or `scheme://host:port`",
                )
            })?;
            config.origins.push(origin);
        }
        Ok(config)
    }

    /// Returns the largest body that is read.
    pub(crate) fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }

    /// Returns the path at which MCP is served, without a slash at its end; empty for the root.
    pub(crate) fn mcp_path(&self) -> &str {
        &self.mcp_path
    }

    /// Tells whether only this machine's own names reach the server.
    pub(crate) fn is_loopback_only(&self) -> bool {
        self.hosts.iter().all(Authority::is_loopback)
    }

    /// Returns what to say at the start when nobody but this machine could use the server although
    /// it listens on a public address.
    pub(crate) fn warning(&self, listening: SocketAddr) -> Option<String> {
        if listening.ip().is_loopback() || !self.hosts.is_empty() {
            return None;
        }
        Some(format!(
            "{listening} is a public address, but every request that does not name a loopback host \
             is refused; start the server with --base-url https://HOST or --allowed-host HOST"
        ))
    }

    pub(super) fn allows_host(&self, host: &Authority) -> bool {
        host.is_loopback()
            || self.hosts.iter().any(|allowed| {
                allowed.host == host.host && (allowed.port.is_none() || allowed.port == host.port)
            })
    }

    pub(super) fn allows_origin(&self, value: &HeaderValue) -> bool {
        value
            .to_str()
            .ok()
            .and_then(Origin::parse)
            .is_some_and(|origin| origin.is_loopback() || self.origins.contains(&origin))
    }

    pub(super) fn is_mcp(&self, uri: &Uri) -> bool {
        uri.path().trim_end_matches('/') == self.mcp_path
    }
}

fn invalid(option: &'static str, text: &str, expected: &str) -> Error {
    Error::InvalidOption {
        option,
        reason: format!("`{}` is not of the form {expected}", quote(text)),
    }
}

fn parse_path(path: &str) -> Result<String> {
    let valid = path.starts_with('/')
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~'));
    if !valid || path.contains("//") {
        return Err(invalid("path", path, "`/name/name`"));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

fn parse_base_url(url: &str) -> Result<(Authority, Origin)> {
    let read = || {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri
            .scheme_str()
            .filter(|s| matches!(*s, "http" | "https"))?;
        let host = Authority::parse(uri.authority()?.as_str())?;
        let origin = Origin::new(scheme, host.clone());
        uri.query().is_none().then_some((host, origin))
    };
    read().ok_or_else(|| invalid("base_url", url, "`https://host/path`"))
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_MAX_BODY_BYTES, EdgeConfig};
    use crate::Error;

    fn config(
        base_url: Option<&str>,
        hosts: &[&str],
        origins: &[&str],
    ) -> crate::Result<EdgeConfig> {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let max = DEFAULT_MAX_BODY_BYTES;
        EdgeConfig::new(base_url, &owned(hosts), &owned(origins), max, "/mcp")
    }

    fn refused_option(result: crate::Result<EdgeConfig>) -> &'static str {
        match result {
            Err(Error::InvalidOption { option, .. }) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn invalid_options_are_named() {
        for url in [
            "example.com",
            "ftp://example.com",
            "https://u:p@example.com",
            "https://",
            "/x",
        ] {
            assert_eq!(
                refused_option(config(Some(url), &[], &[])),
                "base_url",
                "{url}"
            );
        }
        for host in ["*", "https://example.com", "example.com/x", "", "a@b"] {
            assert_eq!(
                refused_option(config(None, &[host], &[])),
                "allowed_host",
                "{host}"
            );
        }
        for origin in ["*", "null", "example.com", "https://example.com/", ""] {
            assert_eq!(
                refused_option(config(None, &[], &[origin])),
                "allowed_origin",
                "{origin}"
            );
        }
        for path in ["mcp", "", "/{x}", "/a//b", "/a b", "/a?b"] {
            let result = EdgeConfig::new(None, &[], &[], 1, path);
            assert_eq!(refused_option(result), "path", "{path}");
        }
        let nothing = EdgeConfig::new(None, &[], &[], 0, "/mcp");
        assert_eq!(refused_option(nothing), "max_body_bytes");
    }

    #[test]
    fn a_public_address_without_hosts_is_warned_about() {
        let local = config(None, &[], &[]).unwrap();
        assert_eq!(local.warning("127.0.0.1:8000".parse().unwrap()), None);
        assert_eq!(local.warning("[::1]:8000".parse().unwrap()), None);
        let warning = local.warning("0.0.0.0:8000".parse().unwrap()).unwrap();
        assert!(
            warning.contains("0.0.0.0:8000") && warning.contains("--allowed-host"),
            "{warning}"
        );

        let named = config(None, &["example.com"], &[]).unwrap();
        assert_eq!(named.warning("0.0.0.0:8000".parse().unwrap()), None);
    }
}
