//! Calling the function behind a component.

use futures_util::FutureExt;
use tokio::task::{JoinError, spawn_blocking};
use tracing::Span;

use crate::BoxFuture;

/// A `Result`, whatever its alias.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called `Result` and is none",
    note = "return a `std::result::Result`, or rename the type"
)]
pub trait Fallible {
    /// What it holds when all went well.
    type Ok;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
}

/// Boxes `future`, and so tells the compiler the type of its errors.
pub fn boxed<'a, T, E>(
    future: impl Future<Output = Result<T, E>> + Send + 'a,
) -> BoxFuture<'a, Result<T, E>> {
    future.boxed()
}

/// Calls `function` on a thread where it may block, in the span of the caller.
///
/// # Errors
///
/// When `function` panics, or the runtime shuts down before it begins.
pub async fn blocking<T: Send + 'static>(
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let span = Span::current();
    spawn_blocking(move || span.in_scope(function)).await
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn a_blocking_function_runs_on_another_thread() {
        let here = thread::current().id();
        let there = blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(here, there);
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let result: Result<(), _> = blocking(|| panic!("no")).await;
        assert!(result.unwrap_err().is_panic());
    }
}
