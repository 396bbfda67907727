//! [`Target`]: where a server is.

use std::collections::HashMap;
use std::fmt;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use tokio::process::Command;

use super::ClientError;
use crate::Server;

/// Where a server is: what a [`Client`](super::Client) connects to.
///
/// - `&Server`: in this process, with real messages and no network. It is one local connection,
///   with a session of its own.
/// - `&str` or `String`: at this URL, of streamable HTTP.
/// - [`tokio::process::Command`] or [`std::process::Command`]: a process to start, which speaks on
///   its standard input and output. Its standard error is that of this process.
/// - A server of an [`McpConfig`](super::McpConfig).
pub struct Target(pub(super) Kind);

pub(super) enum Kind {
    Server(Box<Server>),
    Url {
        url: String,
        headers: Vec<(String, String)>,
    },
    Command(Box<Command>),
}

impl From<&Server> for Target {
    fn from(server: &Server) -> Self {
        Self(Kind::Server(Box::new(server.clone())))
    }
}

impl From<&str> for Target {
    fn from(url: &str) -> Self {
        url.to_owned().into()
    }
}

impl From<String> for Target {
    fn from(url: String) -> Self {
        let headers = Vec::new();
        Self(Kind::Url { url, headers })
    }
}

impl From<Command> for Target {
    fn from(command: Command) -> Self {
        Self(Kind::Command(Box::new(command)))
    }
}

impl From<std::process::Command> for Target {
    fn from(command: std::process::Command) -> Self {
        Command::from(command).into()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

/// Makes the transport to a URL, and says how to call it in errors: without what may be secret.
pub(super) fn http(
    url: &str,
    headers: Vec<(String, String)>,
) -> Result<(StreamableHttpClientTransport<reqwest::Client>, String), ClientError> {
    let wrong = |reason: String| ClientError::Target(reason);
    let parsed = Url::parse(url)
        .ok()
        .filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
    let parsed = parsed.ok_or_else(|| {
        wrong("a server's URL is like http://localhost:8000/mcp or https://example.com/mcp".into())
    })?;
    let mut sent = HashMap::new();
    for (name, value) in headers {
        let header = HeaderName::try_from(&name)
            .map_err(|_error| wrong(format!("{name:?} cannot be the name of a header")))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_error| wrong(format!("the value of the header {name} cannot be sent")))?;
        value.set_sensitive(true);
        sent.insert(header, value);
    }
    let config = StreamableHttpClientTransportConfig::with_uri(url).custom_headers(sent);
    let shown = format!("{}{}", parsed.origin().ascii_serialization(), parsed.path());
    Ok((StreamableHttpClientTransport::from_config(config), shown))
}

/// Starts a server's process.
pub(super) fn process(mut command: Command) -> Result<(TokioChildProcess, String), ClientError> {
    command.kill_on_drop(true);
    let shown = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    match TokioChildProcess::new(command) {
        Ok(process) => Ok((process, shown)),
        Err(source) => Err(ClientError::Connect {
            target: shown,
            source: Box::new(source),
        }),
    }
}
