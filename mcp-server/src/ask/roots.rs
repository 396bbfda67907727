//! [`ListRoots`]: the folders that the client works in.
#![expect(
    deprecated,
    reason = "roots work until the protocol drops them (SEP-2577)"
)]

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{AskError, Needed};
use crate::Context;
use crate::types::{InputRequest, ListRootsRequest, ListRootsResult, Root};

/// A question for the folders that the client works in, asked when it is awaited. Made by
/// [`Context::list_roots`].
#[must_use = "nothing is asked before it is awaited"]
#[derive(Debug)]
pub struct ListRoots<'a> {
    cx: &'a Context,
    key: Option<String>,
}

impl<'a> ListRoots<'a> {
    pub(crate) const fn new(cx: &'a Context) -> Self {
        Self { cx, key: None }
    }

    /// Names the question; see [`Elicit::key`](crate::ask::Elicit::key).
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl<'a> IntoFuture for ListRoots<'a> {
    type Output = Result<Vec<Root>, AskError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let request = InputRequest::ListRoots(ListRootsRequest::default());
            let read = |answer: &Value| {
                let answer: ListRootsResult = serde_json::from_value(answer.clone()).ok()?;
                Some(answer.roots)
            };
            self.cx
                .asker()
                .ask(self.key, request, Needed::Roots, read)
                .await
        }
        .boxed()
    }
}
