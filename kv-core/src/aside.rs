//! [`aside`]: long work where it holds up no other task.

use std::panic;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::{Error, Result};

/// Does long work on a thread of the runtime that is for that, so that it holds up no other task.
///
/// For wrappers that encrypt or compress: from about 64 KiB on it is worth the change of threads.
/// Without a runtime the work is done where this is called. A panic of the work goes on in the
/// caller. When the caller is cancelled, the work goes on to its end, and nobody gets its result.
///
/// # Errors
///
/// [`Error::Unavailable`] of `store` when the runtime is shutting down.
pub async fn aside<T: Send + 'static>(
    store: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let Ok(runtime) = Handle::try_current() else {
        return Ok(work());
    };
    let done = runtime.spawn_blocking(work).await;
    done.map_err(|error| match error.try_into_panic() {
        Ok(panic) => panic::resume_unwind(panic),
        Err(error) => Error::Unavailable {
            store,
            reason: "the runtime is shutting down".to_owned(),
            source: Some(Arc::new(error)),
        },
    })
}
