//! [`Scope`]: whose state an entry is.

use std::sync::Arc;
use std::time::Duration;

use super::StateError;
use crate::auth::Caller;

const HOUR: u64 = 60 * 60;

/// How long the state of a session, or of an anonymous caller, is kept.
pub(super) const SESSION_TTL: Duration = Duration::from_secs(24 * HOUR);

/// How long the state of an authenticated caller is kept.
pub(super) const USER_TTL: Duration = Duration::from_secs(90 * 24 * HOUR);

/// Whose state an entry is: the first part of its key, and how long it lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) name: Arc<str>,
    pub(crate) ttl: Option<Duration>,
}

impl Scope {
    /// Returns the scope of everybody.
    pub(crate) fn server() -> Self {
        Self {
            name: "server".into(),
            ttl: None,
        }
    }

    /// Returns the scope of the session `id`.
    ///
    /// Session ids are made by this server, never by a client, so none can name another scope.
    pub(crate) fn session(id: &str) -> Self {
        Self {
            name: id.into(),
            ttl: Some(SESSION_TTL),
        }
    }

    /// Returns the scope of a caller. With `shared_anonymous`, all anonymous ones share theirs.
    pub(crate) fn user(caller: &Caller, shared_anonymous: bool) -> Result<Self, StateError> {
        match caller {
            Caller::Authenticated(principal) => Ok(Self {
                name: format!("user:{}", principal.segment()).into(),
                ttl: Some(USER_TTL),
            }),
            Caller::Anonymous if !shared_anonymous => Err(StateError::NoPrincipal),
            Caller::Local | Caller::Anonymous => Ok(Self {
                name: "user:anon".into(),
                ttl: Some(SESSION_TTL),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anonymous_caller_from_outside_has_no_scope_unless_told_to_share() {
        assert!(matches!(
            Scope::user(&Caller::Anonymous, false),
            Err(StateError::NoPrincipal)
        ));
        assert_eq!(
            &*Scope::user(&Caller::Anonymous, true).unwrap().name,
            "user:anon"
        );
    }
}
