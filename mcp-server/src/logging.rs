//! The log of a server that runs by itself: to standard error, without the clients' data.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Starts logging to standard error as `RUST_LOG` says, by default from INFO on. Does nothing when
/// the program has installed a subscriber of its own.
///
/// The protocol layer, rmcp, is silenced whatever `RUST_LOG` says: it logs messages, and with them
/// arguments, results and request ids as the client sent them. What matters of it is logged here. A
/// program with a subscriber of its own should do the same: `rmcp=off`.
pub fn init() {
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    let log = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_filter(wanted)
        .with_filter(without_protocol_layer());
    let _ = tracing_subscriber::registry().with(log).try_init();
}

/// Lets everything through but what rmcp logs.
fn without_protocol_layer() -> Targets {
    Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target("rmcp", LevelFilter::OFF)
}
