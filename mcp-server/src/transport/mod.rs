//! How clients connect: standard input and output, streamable HTTP, or memory.

pub(crate) mod http;
mod session;
pub(crate) mod stdio;

use std::sync::Arc;

use crate::hash::hex;

pub(crate) use http::Restored;
pub(crate) use session::{Chosen, SessionMark, Settings};

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
        Self::Single {
            session: hex(&id).into(),
        }
    }
}
