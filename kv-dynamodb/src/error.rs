//! How the errors of the AWS SDK become [`kv_core::Error`].

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use hyper_util::client::legacy;
use kv_core::Error;

/// The store's name in errors and in `StoreInfo`.
pub(crate) const STORE: &str = "dynamodb";

/// The error of a table that another program made for itself.
pub(crate) const OTHER_KEYS: Error = Error::Unsupported {
    what: "a table whose keys are others than `collection` and `key`",
};

/// What DynamoDB or the AWS SDK reported: the source of this store's errors.
///
/// The SDK's own errors are taken apart into texts, because they hold the raw answer, in which
/// entries or credentials may stand. What is left holds none of them.
///
/// # Examples
///
/// ```
/// use kv_dynamodb::AwsError;
///
/// fn is_forbidden(error: &kv_core::Error) -> bool {
///     let reported: Option<&AwsError> = error.driver_error();
///     reported.and_then(AwsError::code) == Some("AccessDeniedException")
/// }
/// # assert!(!is_forbidden(&kv_core::Error::Conflict));
/// ```
#[derive(Debug)]
pub struct AwsError {
    code: Option<String>,
    message: String,
}

impl AwsError {
    /// Returns the service's error code, such as `AccessDeniedException`; `None` when the service
    /// gave none or was not reached.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns the service's message, or what failed on the way to it, with the causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl StdError for AwsError {}

/// A request that did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// Whether a write may have been applied, by this request or one that it repeated.
    pub(crate) may_be_applied: bool,
    source: AwsError,
}

/// What a failed request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its condition did not hold.
    Condition,
    /// The service took no more requests.
    Throttled,
    /// It never left this machine, or was not looked at.
    NotSent,
    /// Its signature was refused, as one by a wrong clock is.
    Unsigned,
    /// No answer came within this time.
    TimedOut(Duration),
    /// It failed behind the point where it may have been applied.
    Broken,
    /// The table is not there, or not yet.
    NoTable,
    /// The service or the SDK refused it, and would again.
    Refused,
}

impl Kind {
    fn may_be_applied(self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Broken)
    }
}

impl Failure {
    fn new(kind: Kind, source: AwsError) -> Self {
        Self {
            kind,
            may_be_applied: kind.may_be_applied(),
            source,
        }
    }

    /// The failure of a request whose answer did not come `within` the time it had.
    pub(crate) fn timed_out(within: Duration) -> Self {
        Self::local(Kind::TimedOut(within), "no answer came in time")
    }

    /// The failure of a request for which no time was left.
    pub(crate) fn no_time_left() -> Self {
        Self::local(Kind::NotSent, "no time was left to send the request")
    }

    /// The failure of a request that waited for credentials until its time was over.
    pub(crate) fn no_credentials() -> Self {
        Self::local(Kind::NotSent, "no credentials came in time to sign with")
    }

    /// The failure of a batch of which the service left something undone.
    pub(crate) fn unprocessed() -> Self {
        Self::local(Kind::Throttled, "a part of the batch was not processed")
    }

    /// The failure of a request that cannot be built, or of an answer that leads nowhere.
    pub(crate) fn refused(what: &str) -> Self {
        Self::local(Kind::Refused, what)
    }

    fn local(kind: Kind, message: &str) -> Self {
        let source = AwsError {
            code: None,
            message: message.to_owned(),
        };
        Self::new(kind, source)
    }

    /// Takes an error of the SDK apart, of a request that was handed to the connection or not.
    pub(crate) fn unpack<E>(error: &SdkError<E>, was_sent: bool) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let (kind, message) = match error {
            SdkError::ServiceError(refusal) => {
                let status = refusal.raw().status().as_u16();
                let kind = kind_of_answer(code.as_deref(), status);
                let message = error.message().map(said);
                let no_message = || format!("the service gave no message but status {status}");
                (kind, message.unwrap_or_else(no_message))
            }
            SdkError::ConstructionFailure(_) => (
                Kind::Refused,
                with_causes("the request could not be built", error),
            ),
            SdkError::DispatchFailure(failure) => (
                failure
                    .as_connector_error()
                    .map_or(Kind::Broken, kind_of_dispatch),
                with_causes("the request could not be sent", error),
            ),
            _ => (
                Kind::Broken,
                with_causes("the answer could not be read", error),
            ),
        };
        let kind = match kind {
            Kind::Broken if !was_sent => Kind::NotSent,
            kind => kind,
        };
        Self::new(kind, AwsError { code, message })
    }

    /// What the caller of a read is told.
    pub(crate) fn of_read(self, operation: &'static str) -> Error {
        match self.kind {
            Kind::TimedOut(after) => Error::Timeout { after },
            _ => self.of_unapplied(operation),
        }
    }

    /// What the caller of a write is told.
    pub(crate) fn of_write(self, operation: &'static str) -> Error {
        if self.may_be_applied {
            return Error::OutcomeUnknown {
                store: STORE,
                source: Some(Arc::new(self.source)),
            };
        }
        self.of_unapplied(operation)
    }

    /// What the caller is told when nothing can have been applied.
    pub(crate) fn of_unapplied(self, operation: &'static str) -> Error {
        let reason = match self.kind {
            Kind::Throttled => "it takes no more requests for now",
            Kind::NotSent => "it cannot be reached",
            Kind::TimedOut(_) | Kind::Broken => "it gave no usable answer",
            Kind::NoTable => "the table does not exist, or not yet",
            Kind::Condition | Kind::Refused | Kind::Unsigned => {
                return Error::backend(STORE, operation, self.source);
            }
        };
        Error::Unavailable {
            store: STORE,
            reason: reason.to_owned(),
            source: Some(Arc::new(self.source)),
        }
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.source.code()
    }
}

/// Judges an answer of the service that is an error.
fn kind_of_answer(code: Option<&str>, status: u16) -> Kind {
    match code {
        Some("ConditionalCheckFailedException") => Kind::Condition,
        Some("ResourceNotFoundException") => Kind::NoTable,
        Some(
            "ProvisionedThroughputExceededException"
            | "ReplicatedWriteConflictException"
            | "RequestLimitExceeded"
            | "ThrottledException"
            | "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "TransactionConflictException",
        ) => Kind::Throttled,
        // The SDK has learned the service's time from the answer, and signs by it from now on.
        Some(
            "InvalidSignatureException"
            | "RequestExpired"
            | "RequestInTheFuture"
            | "RequestTimeTooSkewed",
        ) => Kind::Unsigned,
        _ => match status {
            429 => Kind::Throttled,
            400..500 => Kind::Refused,
            // DynamoDB says of a 5xx that the write may have succeeded. Below 400 it has, and the
            // answer could not be read.
            _ => Kind::Broken,
        },
    }
}

/// Judges a request that got no answer.
fn kind_of_dispatch(error: &ConnectorError) -> Kind {
    for cause in causes(error) {
        match cause.downcast_ref::<CredentialsError>() {
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_),
            ) => return Kind::Refused,
            Some(_) => return Kind::NotSent,
            None => {}
        }
        let connection: Option<&legacy::Error> = cause.downcast_ref();
        if connection.is_some_and(legacy::Error::is_connect) {
            return Kind::NotSent;
        }
    }
    if error.is_user() {
        Kind::Refused
    } else {
        Kind::Broken
    }
}

/// The errors behind `error`, outermost first.
fn causes<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

/// Returns what the service said, up to the first line break. Behind it stands, where it refuses a
/// signature, what was signed: the session's token with it.
fn said(message: &str) -> String {
    const LONGEST: usize = 1000;
    let line = message.lines().next().unwrap_or_default();
    line.chars().take(LONGEST).collect()
}

/// Adds what the causes of `error` display, which unlike their `Debug` holds no answers.
fn with_causes(message: &str, error: &(dyn StdError + 'static)) -> String {
    let mut text = message.to_owned();
    for cause in causes(error) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

/// Makes of a failure that came after a part of the work what it is for the whole.
pub(crate) fn of_the_whole(error: Error, applied_in_part: bool) -> Error {
    if !applied_in_part || matches!(error, Error::OutcomeUnknown { .. }) {
        return error;
    }
    Error::OutcomeUnknown {
        store: STORE,
        source: Some(Arc::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_of_the_service_leaves_the_outcome_open() {
        let kind = kind_of_answer(Some("InternalServerError"), 500);
        assert!(kind.may_be_applied());
        assert_eq!(kind_of_answer(None, 503), Kind::Broken);
        assert_eq!(kind_of_answer(None, 200), Kind::Broken);
    }

    #[test]
    fn throttling_is_known_by_its_code_whatever_the_status() {
        for status in [400, 429, 503] {
            let kind = kind_of_answer(Some("ThrottlingException"), status);
            assert_eq!(kind, Kind::Throttled);
        }
    }

    #[test]
    fn an_unknown_refusal_is_not_repeated() {
        assert_eq!(
            kind_of_answer(Some("ValidationException"), 400),
            Kind::Refused
        );
        assert_eq!(kind_of_answer(None, 404), Kind::Refused);
    }

    #[test]
    fn a_write_that_timed_out_is_of_unknown_outcome_and_a_read_a_timeout() {
        let after = Duration::from_secs(2);
        let error = Failure::timed_out(after).of_write("write an entry");
        assert!(matches!(error, Error::OutcomeUnknown { .. }));
        assert!(error.driver_error::<AwsError>().is_some());
        let error = Failure::timed_out(after).of_read("read an entry");
        assert!(matches!(error, Error::Timeout { after: told } if told == after));
    }
}
