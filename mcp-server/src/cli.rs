//! [`Args`]: the command-line options of a server, for `Server::run` or for a program's own `main`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// The command-line options of a server.
///
/// `Server::run` parses them itself. A program with options of its own flattens them into its
/// parser and calls `Server::run_with`. Each option also has an environment variable.
///
/// # Examples
///
/// ```
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Cli {
///     #[command(flatten)]
///     server: mcp_server::cli::Args,
///     #[arg(long)]
///     greeting: Option<String>,
/// }
///
/// let cli = Cli::parse_from(["my-server", "--port", "9000"]);
/// assert_eq!(cli.server.port, 9000);
/// ```
#[derive(Clone, Debug, clap::Args)]
// Else the text above would be the description of the program that flattens it.
#[command(about = None, long_about = None)]
#[non_exhaustive]
pub struct Args {
    /// How clients connect [default: stdio, unless the program says otherwise]
    #[arg(long, value_enum, env = "MCP_TRANSPORT")]
    pub transport: Option<TransportKind>,

    /// The address to listen on, for http
    #[arg(long, default_value = "127.0.0.1", env = "MCP_HOST")]
    pub host: String,

    /// The port to listen on, for http; 0 takes a free one
    #[arg(long, default_value_t = 8000, env = "MCP_PORT")]
    pub port: u16,

    /// Where to keep state, instead of where the program says: a text for
    /// [`storage::open`](crate::storage::open).
    #[arg(
        long,
        value_name = "STORE",
        env = "MCP_STORAGE",
        hide_env_values = true,
        help = "Where to keep state, instead of where the program says: memory:, disk:PATH, \
                redis://HOST or dynamodb://TABLE",
        long_help = None
    )]
    pub storage: Option<StoreText>,

    /// The URL under which clients reach this server, when it is not its own address
    #[arg(long, value_name = "URL", env = "MCP_BASE_URL")]
    pub base_url: Option<String>,

    /// A host name under which clients reach this server, besides loopback; may be repeated
    #[arg(
        long = "allowed-host",
        value_name = "HOST[:PORT]",
        env = "MCP_ALLOWED_HOSTS",
        value_delimiter = ','
    )]
    pub allowed_hosts: Vec<String>,

    /// A web origin whose pages may call this server, besides loopback; may be repeated
    #[arg(
        long = "allowed-origin",
        value_name = "ORIGIN",
        env = "MCP_ALLOWED_ORIGINS",
        value_delimiter = ','
    )]
    pub allowed_origins: Vec<String>,
}

/// The text of `--storage`, for [`storage::open`](crate::storage::open). `Debug` does not show it:
/// it may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreText(String);

impl StoreText {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StoreText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreText(..)")
    }
}

/// How clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum TransportKind {
    /// Over standard input and output, as the child process of one client.
    Stdio,
    /// Over streamable HTTP, for any number of clients.
    Http,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    /// My program.
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        _server: Args,
    }

    #[test]
    fn the_store_is_not_shown() {
        let parsed = Cli::parse_from(["my-server", "--storage", "redis://:hunter2@localhost"]);
        let shown = format!("{:?}", parsed._server);
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_program_that_flattens_the_options_keeps_its_own_description() {
        let help = Cli::command().render_long_help().to_string();
        assert!(help.starts_with("My program"), "{help}");
    }
}
