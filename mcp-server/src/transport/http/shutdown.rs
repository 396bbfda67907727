//! The two steps in which an HTTP server ends.

use tokio_util::sync::CancellationToken;

/// When a server is to end, and when it has. Clones share both.
///
/// What runs in between is let finish: rmcp has one token, at which it cuts running requests too,
/// so it gets the second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shutdown {
    requested: CancellationToken,
    finished: CancellationToken,
}

impl Shutdown {
    /// Is cancelled when no more connections are accepted and streams without an end are to end.
    pub(crate) fn requested(&self) -> &CancellationToken {
        &self.requested
    }

    /// Is cancelled when no request is left, or none is waited for any longer: sessions end.
    pub(crate) fn finished(&self) -> &CancellationToken {
        &self.finished
    }
}
