//! How clients connect: standard input and output, streamable HTTP, or memory.

pub(crate) mod http;
pub(crate) mod stdio;

use std::fmt::Write as _;
use std::sync::Arc;

/// How clients connect to a server, for [`Server::serve`](crate::Server::serve).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// Standard input and output, as the child process of one client.
    Stdio,
    /// Streamable HTTP on a host and port; port 0 takes a free one.
    #[allow(missing_docs, reason = "the variant's line says it")]
    Http { host: String, port: u16 },
}

/// What a call's connection tells of its caller.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    /// One client alone, on this machine: it is one session.
    Single { session: Arc<str> },
    /// An HTTP listener. `local` when only this machine can reach it.
    Http { local: bool },
}

impl Connection {
    /// Makes the connection of one local client, with a session id that no other one has.
    pub(crate) fn single() -> Self {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system has random numbers");
        let session = id.iter().fold(String::with_capacity(32), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self::Single {
            session: session.into(),
        }
    }
}

/// The session of an HTTP request, put into it by the session manager after it has found the
/// session. A header alone proves nothing: stateless requests may carry any.
#[derive(Clone, Debug)]
pub(crate) struct SessionMark(pub(crate) Arc<str>);
