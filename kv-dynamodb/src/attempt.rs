//! [`Call`]: one request to the service, repeated where that is safe, until a deadline.

use std::error::Error as StdError;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::error::{Failure, Kind};
use crate::link::Link;

/// How often a request is sent that meets faults other than throttling.
const MAX_FAULTS: u32 = 3;

/// Whether a request may be sent again when it may have been applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Yes: applying it twice is applying it once.
    Freely,
    /// No: it is conditional, or its answer tells what it removed.
    Unapplied,
}

/// The requests of one operation, or of one step of it, and until when they may go on.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) link: &'a Link,
    pub(crate) client: &'a Client,
    pub(crate) deadline: Instant,
}

impl Call<'_> {
    /// Sends a request, and again with jitter between: while the service throttles until the
    /// deadline, after other faults twice at most.
    ///
    /// The SDK's own retries are off, because they report the last failure only, and an earlier
    /// one may have been applied.
    pub(crate) async fn send<T, E, F>(
        &self,
        repeat: Repeat,
        request: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        self.send_after(&mut false, repeat, request).await
    }

    /// As [`send`](Self::send), for a request that goes on with the work of earlier ones.
    ///
    /// `may_be_applied` tells whether one of those may have been applied unseen, and on return
    /// whether one of these may, also when another was answered.
    pub(crate) async fn send_after<T, E, F>(
        &self,
        may_be_applied: &mut bool,
        repeat: Repeat,
        request: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        let mut backoff = Backoff::new(self.deadline);
        let mut faults = 0;
        loop {
            let mut failure = match self.send_once(&request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            *may_be_applied |= failure.may_be_applied;
            failure.may_be_applied = *may_be_applied;
            let again = match failure.kind {
                Kind::Throttled => true,
                Kind::NotSent | Kind::Unsigned => {
                    faults += 1;
                    faults < MAX_FAULTS
                }
                Kind::TimedOut(_) | Kind::Broken => {
                    faults += 1;
                    faults < MAX_FAULTS && repeat == Repeat::Freely
                }
                Kind::NoTable => {
                    self.link.table_is_gone();
                    false
                }
                Kind::Condition | Kind::Refused => false,
            };
            if !again || !backoff.wait().await {
                return Err(failure);
            }
        }
    }

    async fn send_once<T, E, F>(&self, request: impl Fn() -> F) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        let attempt_timeout = self.link.config.attempt_timeout;
        let mut start = Instant::now();
        if start >= self.deadline {
            return Err(Failure::no_time_left());
        }
        let sent = Sent::default();
        // At the level TRACE the SDK logs whole answers, and entries with them.
        let request = request().with_subscriber(NoSubscriber::new());
        // In a box, because the SDK's types nest deeper than the compiler follows.
        let mut request = SENT.scope(sent.clone(), request).boxed();
        loop {
            let end = self.deadline.min(start + attempt_timeout);
            if let Ok(answer) = timeout_at(end, &mut request).await {
                return answer.map_err(|error| Failure::unpack(&error, sent.at().is_some()));
            }
            match sent.at() {
                // It was sent later than it was begun.
                Some(at) if at + attempt_timeout > end && end < self.deadline => start = at,
                Some(at) => return Err(Failure::timed_out(end - at)),
                None if end < self.deadline => start = end,
                None => return Err(Failure::no_credentials()),
            }
        }
    }
}

/// When a request has been handed to the connection. Before, the SDK gets the credentials, which may
/// take longer than a request, and whose coming to nothing leaves no outcome open.
#[derive(Clone, Debug, Default)]
struct Sent(Arc<OnceLock<Instant>>);

impl Sent {
    fn at(&self) -> Option<Instant> {
        self.0.get().copied()
    }
}

tokio::task_local! {
    /// That of the request that this task is at.
    static SENT: Sent;
}

/// Tells when a request is sent, from inside the SDK.
#[derive(Debug)]
pub(crate) struct NoteSent;

impl Intercept for NoteSent {
    fn name(&self) -> &'static str {
        "NoteSent"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // There are no repetitions inside the SDK.
        SENT.try_with(|sent| {
            sent.0.get_or_init(Instant::now);
        })?;
        Ok(())
    }
}

/// Waits between requests: a random part of a time that doubles.
#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Instant,
    longest: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);

    /// The least time that is worth sending a request for. One that is cut short leaves it open
    /// whether it was applied, where giving up before leaves nothing open.
    const REQUEST: Duration = Duration::from_millis(250);

    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            longest: Self::FIRST,
        }
    }

    /// Waits, or returns false at once when too little time would be left for a request.
    pub(crate) async fn wait(&mut self) -> bool {
        let pause = self.longest.mul_f64(fastrand::f64());
        self.longest = (self.longest * 2).min(Self::LONGEST);
        if Instant::now() + pause + Self::REQUEST >= self.deadline {
            return false;
        }
        sleep(pause).await;
        true
    }

    /// Begins with short waits again, as something has been achieved.
    pub(crate) fn reset(&mut self) {
        self.longest = Self::FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_wait_leaves_too_little_time_for_a_request() {
        let deadline = Instant::now() + Duration::from_millis(400);
        let mut backoff = Backoff::new(deadline);
        while backoff.wait().await {}
        assert!(Instant::now() < deadline - Backoff::REQUEST / 2);
    }
}
