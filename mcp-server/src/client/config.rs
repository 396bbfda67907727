//! [`McpConfig`]: the servers that a configuration file names.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokio::process::Command;

use super::ClientError;
use super::target::{Kind, Target};

/// The servers of a configuration file, in the form that MCP clients share: an object `mcpServers`
/// with a member a server, which is a process (`command`, `args`, `env`, `cwd`) or a `url` (with
/// `headers`).
///
/// # Examples
///
/// ```
/// use mcp_server::client::McpConfig;
///
/// let config: McpConfig = r#"{ "mcpServers": {
///     "files": { "command": "files-server", "args": ["--root", "/srv"] },
///     "weather": { "url": "https://example.com/mcp", "headers": { "X-Key": "1" } }
/// } }"#.parse()?;
/// assert_eq!(config.names().collect::<Vec<_>>(), ["files", "weather"]);
/// let target = config.server("weather")?;
/// # Ok::<(), mcp_server::client::ClientError>(())
/// ```
#[derive(Clone, Deserialize)]
pub struct McpConfig {
    #[serde(rename = "mcpServers")]
    servers: BTreeMap<String, Entry>,
}

#[derive(Clone, Deserialize)]
struct Entry {
    command: Option<String>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    cwd: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(alias = "type")]
    transport: Option<String>,
}

impl McpConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// [`ClientError::Config`] when it cannot be read, [`ClientError::Target`] when it is not of the
    /// form.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| ClientError::Config {
            path: path.to_owned(),
            source,
        })?;
        text.parse()
    }

    /// Returns the names of the servers, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }

    /// Returns a server, to connect to. A process has this one's environment, and what the
    /// configuration adds.
    ///
    /// # Errors
    ///
    /// [`ClientError::Target`] when there is none of this name, or neither a command nor a URL, or
    /// it has a transport other than `stdio`, `http` and `streamable-http`.
    pub fn server(&self, name: &str) -> Result<Target, ClientError> {
        let wrong = |reason: String| ClientError::Target(reason);
        let entry = self.servers.get(name).ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            wrong(format!(
                "the configuration has no server {name:?}, only {names:?}"
            ))
        })?;
        let transport = entry.transport.as_deref();
        match (&entry.url, &entry.command) {
            (Some(url), None) if matches!(transport, None | Some("http" | "streamable-http")) => {
                let headers = entry.headers.clone().into_iter().collect();
                let url = url.clone();
                Ok(Target(Kind::Url { url, headers }))
            }
            (None, Some(program)) if matches!(transport, None | Some("stdio")) => {
                let mut command = Command::new(program);
                command.args(&entry.args).envs(&entry.env);
                if let Some(folder) = &entry.cwd {
                    command.current_dir(folder);
                }
                Ok(command.into())
            }
            (Some(_), None) | (None, Some(_)) => Err(wrong(format!(
                "the server {name:?} has the transport {transport:?}; stdio, http and \
                 streamable-http are known"
            ))),
            _ => Err(wrong(format!(
                "the server {name:?} needs either a command or a url"
            ))),
        }
    }
}

impl std::str::FromStr for McpConfig {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        serde_json::from_str(text).map_err(|error| {
            // Its own text could repeat a header.
            ClientError::Target(format!(
                "the MCP configuration is not of the form, at line {} column {}",
                error.line(),
                error.column()
            ))
        })
    }
}

impl fmt::Debug for McpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.servers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<McpConfig, ClientError> {
        text.parse()
    }

    #[test]
    fn a_server_is_a_process_or_a_url() {
        let config = config(
            r#"{ "mcpServers": {
                "a": { "command": "a", "args": ["-x"], "env": { "K": "v" }, "cwd": "/" },
                "b": { "url": "http://b/mcp", "type": "http", "headers": { "X-Key": "hunter2" } },
                "both": { "command": "a", "url": "http://b" },
                "none": {},
                "old": { "url": "http://b/sse", "transport": "sse" }
            } }"#,
        )
        .unwrap();
        let Kind::Command(command) = config.server("a").unwrap().0 else {
            panic!("it is a command");
        };
        assert_eq!(command.as_std().get_args().collect::<Vec<_>>(), ["-x"]);
        let Kind::Url { url, headers } = config.server("b").unwrap().0 else {
            panic!("it is a URL");
        };
        assert_eq!(url, "http://b/mcp");
        assert_eq!(headers, [("X-Key".to_owned(), "hunter2".to_owned())]);
        for name in ["both", "none", "old", "unknown"] {
            let error = config.server(name).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_of_the_form_is_told_by_its_place() {
        for text in ["", "[]", "{}", r#"{ "mcpServers": { "a": "hunter2" } }"#] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.contains("line 1"), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
