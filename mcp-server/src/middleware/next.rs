//! [`Next`]: the rest of the way of a message.

use std::fmt;
use std::sync::Arc;

use rmcp::ErrorData;

use super::around::Erased;
use super::params::{Answer, AnyParams, Params};
use super::{CallError, Message, Middleware};
use crate::{BoxFuture, ServerHandle};

/// What answers a message at the end of its way.
pub(crate) trait End: Send + Sync {
    fn answer(self: Arc<Self>, message: Message) -> BoxFuture<'static, Result<Answer, CallError>>;
}

/// The end of the way of a message that nothing answers.
pub(crate) struct NoEnd;

impl End for NoEnd {
    fn answer(self: Arc<Self>, _message: Message) -> BoxFuture<'static, Result<Answer, CallError>> {
        Box::pin(async { Ok(Answer::None) })
    }
}

/// Middleware in the order in which messages pass it. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Chain(Arc<Vec<Arc<dyn Erased>>>);

impl Chain {
    pub(crate) fn push(&mut self, middleware: impl Middleware) {
        Arc::make_mut(&mut self.0).push(Arc::new(middleware));
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        Arc::make_mut(&mut self.0).extend(other.0.iter().map(Arc::clone));
    }

    /// Tells all of it of the server that it belongs to.
    pub(crate) fn built(&self, server: &ServerHandle) {
        for middleware in self.0.iter() {
            middleware.built(server);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the way through this middleware to `end`.
    pub(crate) fn before(&self, end: Arc<dyn End>) -> Next {
        Next {
            chain: self.clone(),
            passed: 0,
            end,
        }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("length", &self.0.len())
            .finish()
    }
}

/// The rest of the way of a message: the middleware that comes after, and what answers it.
pub struct Next {
    chain: Chain,
    /// So much middleware lies behind.
    passed: usize,
    end: Arc<dyn End>,
}

impl Next {
    /// Passes the message on, and returns what answers it.
    ///
    /// # Errors
    ///
    /// Those of what comes after.
    pub async fn run<T: Params>(self, message: Message<T>) -> Result<T::Answer, CallError> {
        let (params, envelope) = message.open();
        let answer = self.step(envelope.of(params.into_any())).await?;
        T::answer(answer).ok_or_else(|| {
            tracing::error!("middleware answers a message with the answer to another method");
            ErrorData::internal_error("the answer is that of another method", None).into()
        })
    }

    /// Makes another one of the same way, to pass a message on more than once.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            passed: self.passed,
            end: Arc::clone(&self.end),
        }
    }

    fn step(
        mut self,
        message: Message<AnyParams>,
    ) -> BoxFuture<'static, Result<Answer, CallError>> {
        match self.chain.0.get(self.passed).map(Arc::clone) {
            None => self.end.answer(message),
            Some(middleware) => {
                self.passed += 1;
                middleware.handle(message, self)
            }
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("left", &(self.chain.0.len() - self.passed))
            .finish_non_exhaustive()
    }
}
