//! How the errors of the driver and the server become [`kv_core::Error`].

use std::sync::Arc;
use std::time::Duration;

use kv_core::{Error, Source};
use redis::{ErrorKind, RedisError, Value};

/// The store's name in errors and in `StoreInfo`.
pub(crate) const STORE: &str = "redis";

/// A request that was not answered as hoped: what a reader is told, and what it means for a write.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) kind: Kind,
}

/// What a [`Failure`] says about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The server did not do it, and may if asked again.
    NotApplied,
    /// The same, and this server is not the one to ask.
    ReadOnly,
    /// The same, and another node of the cluster has the key now.
    Moved(Address),
    /// The same, and another node of the cluster is about to have the key.
    Ask(Address),
    /// The key holds something else than a string.
    WrongType,
    /// The server does not know the script.
    NoScript,
    /// The server did not do it, and will not.
    Refused,
    /// Whether the server did it, or will yet, is unknown.
    Lost,
}

impl Kind {
    /// Tells whether the server did not do it and may if asked again.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotApplied | Self::ReadOnly | Self::Moved(_) | Self::Ask(_)
        )
    }
}

/// A host and a port.
pub(crate) type Address = (String, u16);

impl Failure {
    /// The failure of a request that was not sent.
    pub(crate) const fn not_sent(error: Error) -> Self {
        let kind = if error.is_retryable() {
            Kind::NotApplied
        } else {
            Kind::Refused
        };
        Self { error, kind }
    }

    /// The failure of a request whose answer did not come in time.
    pub(crate) const fn late(after: Duration) -> Self {
        Self {
            error: Error::Timeout { after },
            kind: Kind::Lost,
        }
    }

    /// The failure of a request whose connection broke.
    pub(crate) fn lost(source: RedisError) -> Self {
        Self {
            error: unavailable("the connection broke", Some(Arc::new(source))),
            kind: Kind::Lost,
        }
    }

    /// The failure of a request that the server answered with an error.
    pub(crate) fn refused(source: RedisError) -> Self {
        let source = without_arguments(of_a_script(source));
        let kind = kind(&source);
        let code = source.code().unwrap_or_default().to_owned();
        let source: Source = Arc::new(source);
        let error = match (&kind, code.as_str()) {
            (Kind::WrongType, _) => Error::Corrupted {
                reason: "the key holds another type than a string",
                source: Some(source),
            },
            (Kind::ReadOnly, _) => unavailable(
                "the server is a read-only replica, as after a failover",
                Some(source),
            ),
            (Kind::Moved(_) | Kind::Ask(_), _) => unavailable(
                "another node of its cluster has the key, which a store made with \
                 `RedisStore::cluster` asks",
                Some(source),
            ),
            (Kind::NotApplied, _) => unavailable("the server takes no request now", Some(source)),
            (_, "OOM") => Error::Full {
                store: STORE,
                source: Some(source),
            },
            (_, "NOAUTH" | "WRONGPASS") => backend("authenticate", source),
            (_, "NOPERM") => backend("do what its user has no permission for", source),
            _ => backend("carry out a command", source),
        };
        Self { error, kind }
    }

    /// The failure of a request that was answered with something that is no answer to it.
    pub(crate) fn nonsense() -> Self {
        Self {
            error: Error::backend(STORE, "answer sensibly", Nonsense),
            kind: Kind::Lost,
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.kind == Kind::Lost
    }

    /// Returns what the caller of a write is told.
    pub(crate) fn of_a_write(self) -> Error {
        if self.is_lost() {
            return outcome_unknown(self.error);
        }
        self.error
    }
}

/// An answer of a type that the command does not have.
#[derive(Debug, thiserror::Error)]
#[error("the answer is of a type that the command does not have")]
struct Nonsense;

/// Returns what a failed attempt to connect is.
pub(crate) fn connecting(source: RedisError) -> Error {
    let code = source.code();
    let refused = source.kind() == ErrorKind::AuthenticationFailed
        || matches!(code, Some("NOAUTH" | "WRONGPASS" | "NOPERM"));
    let source = without_arguments(source);
    if refused {
        return Error::backend(STORE, "authenticate", source);
    }
    unavailable("it cannot be connected to", Some(Arc::new(source)))
}

pub(crate) fn unavailable(reason: impl Into<String>, source: Option<Source>) -> Error {
    Error::Unavailable {
        store: STORE,
        reason: reason.into(),
        source,
    }
}

/// The error of a write that may have been applied.
pub(crate) fn outcome_unknown(cause: Error) -> Error {
    Error::OutcomeUnknown {
        store: STORE,
        source: Some(Arc::new(cause)),
    }
}

/// Separates the error that the server may answer with from any other answer.
pub(crate) fn answer(value: Value) -> Result<Value, Failure> {
    match value {
        Value::ServerError(error) => Err(Failure::refused(error.into())),
        // Nothing was subscribed to that is told of in place of an answer.
        Value::Push { .. } => Err(Failure::nonsense()),
        value => Ok(value),
    }
}

/// Checks that the answer to `SET` says that it was done.
pub(crate) fn acknowledged(answer: Result<Value, Failure>) -> Result<(), Failure> {
    match answer? {
        Value::Okay => Ok(()),
        _ => Err(Failure::nonsense()),
    }
}

fn backend(operation: &'static str, source: Source) -> Error {
    Error::Backend {
        store: STORE,
        operation,
        source,
    }
}

fn kind(error: &RedisError) -> Kind {
    let redirect = || {
        let (address, _) = error.redirect_node()?;
        let (host, port) = address.rsplit_once(':')?;
        Some((host.to_owned(), port.parse().ok()?))
    };
    match error.code() {
        Some("MOVED") => redirect().map_or(Kind::NotApplied, Kind::Moved),
        Some("ASK") => redirect().map_or(Kind::NotApplied, Kind::Ask),
        Some("READONLY") => Kind::ReadOnly,
        Some("NOSCRIPT") => Kind::NoScript,
        Some("WRONGTYPE") => Kind::WrongType,
        Some(
            "LOADING" | "CLUSTERDOWN" | "MASTERDOWN" | "TRYAGAIN" | "BUSY" | "MISCONF"
            | "NOREPLICAS",
        ) => Kind::NotApplied,
        _ => Kind::Refused,
    }
}

/// Returns the error of a command in a script, which a server before version 7 tells within one of
/// its own.
fn of_a_script(error: RedisError) -> RedisError {
    let inner = error
        .detail()
        .filter(|detail| detail.starts_with("Error running script"))
        .and_then(|detail| detail.split_once(": -"));
    let Some((_, inner)) = inner else {
        return error;
    };
    let (code, detail) = inner.split_once(' ').unwrap_or((inner, ""));
    redis::make_extension_error(code.to_owned(), Some(detail.to_owned()))
}

/// Cuts off where a server quotes what it was sent, which is keys and values.
fn without_arguments(error: RedisError) -> RedisError {
    let (Some(code), Some(detail)) = (error.code(), error.detail()) else {
        return error;
    };
    match detail.split_once(", with args") {
        Some((before, _)) => redis::make_extension_error(code.to_owned(), Some(before.to_owned())),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reply: &str) -> Failure {
        let reply = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        answer(reply).unwrap_err()
    }

    #[test]
    fn a_server_without_memory_is_full() {
        let failure = refused("OOM command not allowed when used memory > 'maxmemory'.");
        assert_eq!(failure.kind, Kind::Refused);
        assert!(matches!(failure.of_a_write(), Error::Full { .. }));
    }

    #[test]
    fn a_server_that_loads_or_follows_another_may_be_asked_again() {
        for (reply, kind) in [
            (
                "LOADING Redis is loading the dataset in memory",
                Kind::NotApplied,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                Kind::NotApplied,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Kind::ReadOnly,
            ),
            ("CLUSTERDOWN Hash slot not served", Kind::NotApplied),
        ] {
            let failure = refused(reply);
            assert_eq!(failure.kind, kind, "{reply}");
            assert!(failure.of_a_write().is_retryable(), "{reply}");
        }
    }

    #[test]
    fn a_script_fails_as_its_command_does_on_a_server_before_version_7() {
        let within =
            "ERR Error running script (call to f_0123): @user_script:4: @user_script: 4: -";
        let failure = refused(&format!(
            "{within}READONLY You can't write against a replica."
        ));
        assert_eq!(failure.kind, Kind::ReadOnly);
        let failure = refused(&format!("{within}OOM command not allowed"));
        assert!(matches!(failure.error, Error::Full { .. }));
        let failure = refused(&format!("{within}MISCONF Errors writing to the AOF file"));
        assert_eq!(failure.kind, Kind::NotApplied);
    }

    #[test]
    fn a_redirect_names_the_other_node() {
        let moved = refused("MOVED 3999 127.0.0.1:6381").kind;
        assert_eq!(moved, Kind::Moved(("127.0.0.1".to_owned(), 6381)));
        let ask = refused("ASK 3999 ::1:6381").kind;
        assert_eq!(ask, Kind::Ask(("::1".to_owned(), 6381)));
        assert_eq!(refused("MOVED nowhere").kind, Kind::NotApplied);
    }

    #[test]
    fn a_write_whose_answer_did_not_come_is_of_unknown_outcome() {
        let error = Failure::late(Duration::from_secs(1)).of_a_write();
        assert!(matches!(error, Error::OutcomeUnknown { .. }));
        assert!(!error.is_retryable());
    }

    #[test]
    fn what_a_server_quotes_of_a_command_is_not_shown() {
        let quoting = "ERR unknown command 'GETDEL', with args beginning with: 'users::hunter2' ";
        let error = refused(quoting).error;
        assert!(error.driver_error::<RedisError>().is_some());
        let shown = format!("{error:?}");
        assert!(
            shown.contains("GETDEL") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
