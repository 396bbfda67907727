//! [`Next`]: the rest of the way of a message.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use rmcp::ErrorData;

use super::around::Erased;
use super::params::{Answer, AnyParams, Params};
use super::{
    Authorization, CallError, Message, Middleware, RateLimiting, Rejected, ResponseCaching, Retry,
};
use crate::{BoxFuture, ServerHandle};

/// A type of middleware.
type Kind = fn() -> TypeId;

/// What must be outside of what, and what is wrong when it is not.
const ORDER: [(Kind, Kind, &str); 4] = [
    (
        TypeId::of::<RateLimiting>,
        TypeId::of::<ResponseCaching>,
        "ResponseCaching is around RateLimiting: answers from the cache are not counted; add \
         RateLimiting before ResponseCaching",
    ),
    (
        TypeId::of::<RateLimiting>,
        TypeId::of::<Retry>,
        "Retry is around RateLimiting: each try is counted, and what is refused is tried again; add \
         RateLimiting before Retry",
    ),
    (
        TypeId::of::<Authorization>,
        TypeId::of::<ResponseCaching>,
        "ResponseCaching is around Authorization: answers from the cache are given without its \
         checks; add Authorization before ResponseCaching",
    ),
    (
        TypeId::of::<ResponseCaching>,
        TypeId::of::<Retry>,
        "Retry is around ResponseCaching: those who wait for an equal call are told of its first \
         failure; add ResponseCaching before Retry",
    ),
];

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
        for problem in self.order_problems() {
            tracing::warn!("{problem}");
        }
        for middleware in self.0.iter() {
            middleware.built(server);
        }
    }

    /// Tells all of it of a request that was refused.
    pub(crate) fn rejected(&self, rejected: &Rejected) {
        for middleware in self.0.iter() {
            middleware.rejected(rejected);
        }
    }

    /// Tells what is in an order that cannot be meant, and how to mend it.
    fn order_problems(&self) -> impl Iterator<Item = &'static str> {
        let place = |kind: TypeId| self.0.iter().position(|it| it.kind() == kind);
        ORDER.iter().filter_map(move |(outer, inner, problem)| {
            let (outer, inner) = (place(outer())?, place(inner())?);
            (inner < outer).then_some(*problem)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_cannot_be_meant_is_told_with_the_fix() {
        let mut chain = Chain::default();
        chain.push(ResponseCaching::new());
        chain.push(RateLimiting::per_second(1.0));
        chain.push(Retry::new());
        let problems: Vec<_> = chain.order_problems().collect();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("add RateLimiting before ResponseCaching"));
        let mut chain = Chain::default();
        chain.push(RateLimiting::per_second(1.0));
        chain.push(Authorization::new());
        chain.push(ResponseCaching::new());
        chain.push(Retry::new());
        assert_eq!(chain.order_problems().count(), 0);
    }
}
