//! [`Principal`]: an authenticated caller.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::hash::sha256_hex;
use crate::types::JsonObject;

/// An authenticated caller, as the issuer of its token names it.
///
/// A tower layer that authenticates HTTP requests puts one into the request's extensions; tools
/// then have a [`user_state`](crate::Context::user_state) of that caller, and those that ask for
/// [scopes](crate::ToolDefinition::with_scopes) are there for callers that have them.
///
/// Two are equal when they are the same caller, whatever their tokens allow and claim. `Debug` shows
/// no claims.
#[derive(Clone)]
#[non_exhaustive]
pub struct Principal {
    /// Who vouches for the caller: the `iss` of its token.
    pub issuer: String,
    /// The caller: the `sub` of its token. A client that acts for itself has none.
    pub subject: Option<String>,
    /// The OAuth client that the caller uses.
    pub client_id: Option<String>,
    scopes: Arc<BTreeSet<String>>,
    claims: Arc<JsonObject>,
}

impl Principal {
    /// Makes the principal of the user `subject` at `issuer`.
    #[must_use]
    pub fn user(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: Some(subject.into()),
            client_id: None,
            scopes: Arc::default(),
            claims: Arc::default(),
        }
    }

    /// Makes the principal of a client that acts for itself, without a user.
    #[must_use]
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: None,
            client_id: Some(client_id.into()),
            scopes: Arc::default(),
            claims: Arc::default(),
        }
    }

    /// Sets the OAuth client that the caller uses.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets what the caller's token allows, its OAuth scopes. Defaults to none.
    #[must_use]
    pub fn with_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes = Arc::new(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets all that the caller's token says, its claims. Defaults to nothing.
    #[must_use]
    pub fn with_claims(mut self, claims: JsonObject) -> Self {
        self.claims = Arc::new(claims);
        self
    }

    /// Returns the OAuth scopes that the caller has.
    #[must_use]
    pub fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }

    /// Returns the claims of the caller's token.
    #[must_use]
    pub fn claims(&self) -> &JsonObject {
        &self.claims
    }

    fn identity(&self) -> (&str, Option<&str>, Option<&str>) {
        let (subject, client) = (self.subject.as_deref(), self.client_id.as_deref());
        (&self.issuer, subject, client)
    }

    /// Returns the segment of storage keys that belongs to this caller: the SHA-256, in hex, of the
    /// compact JSON `[issuer, subject]`, or of `[client_id, issuer, null]` without a subject.
    pub(crate) fn segment(&self) -> String {
        let identity = match &self.subject {
            Some(subject) => serde_json::json!([self.issuer, subject]),
            None => serde_json::json!([self.client_id, self.issuer, null]),
        };
        sha256_hex(identity.to_string())
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Principal {}

impl Hash for Principal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("issuer", &self.issuer)
            .field("subject", &self.subject)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Who makes a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The one user of a local connection: stdio, in memory, or a loopback listener.
    Local,
    /// A caller that was authenticated.
    Authenticated(Principal),
    /// Anybody, on a listener that others can reach.
    Anonymous,
}

impl Caller {
    /// Tells whether it is the one local user.
    pub(crate) const fn is_local(&self) -> bool {
        matches!(self, Self::Local)
    }

    /// Tells whether the caller has all of these scopes. The local user needs none.
    pub(crate) fn may(&self, scopes: &BTreeSet<String>) -> bool {
        match self {
            Self::Local => true,
            Self::Authenticated(principal) => scopes.is_subset(&principal.scopes),
            Self::Anonymous => scopes.is_empty(),
        }
    }

    /// Returns what tells this caller from others.
    pub(crate) fn segment(&self) -> String {
        match self {
            Self::Authenticated(principal) => principal.segment(),
            Self::Local => "local".to_owned(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_segment_whatever_client_is_used() {
        let user = Principal::user("https://id.example", "ada");
        assert_eq!(
            user.segment(),
            user.clone().with_client_id("editor").segment()
        );
    }

    #[test]
    fn a_user_of_another_issuer_has_another_segment() {
        let here = Principal::user("https://id.example", "ada");
        assert_ne!(
            here.segment(),
            Principal::user("https://id.evil", "ada").segment()
        );
    }

    #[test]
    fn a_segment_is_the_hash_of_the_compact_json() {
        // printf '["https://id.example","ada"]' | sha256sum
        let expected = "82965578ffba6682e7a1d2200e8e36948431566c5613b798e4d0d7a8c994eb20";
        assert_eq!(
            Principal::user("https://id.example", "ada").segment(),
            expected
        );
    }

    #[test]
    fn a_client_cannot_pass_for_a_user_of_its_own_name() {
        let client = Principal::client("https://id.example", "ada");
        assert_ne!(
            client.segment(),
            Principal::user("https://id.example", "ada").segment()
        );
    }

    #[test]
    fn a_caller_stays_the_same_with_another_token() {
        let user = Principal::user("https://id.example", "ada");
        let other = user.clone().with_scopes(["admin"]);
        assert_eq!(user, other);
        assert_ne!(user, user.clone().with_client_id("editor"));
    }

    #[test]
    fn a_caller_needs_all_scopes_unless_it_is_the_local_user() {
        let scopes = BTreeSet::from(["read".to_owned(), "write".to_owned()]);
        let caller = |scopes: &[&str]| {
            let user = Principal::user("https://id.example", "ada");
            Caller::Authenticated(user.with_scopes(scopes.iter().copied()))
        };
        assert!(caller(&["write", "read", "more"]).may(&scopes));
        assert!(!caller(&["read"]).may(&scopes));
        assert!(!Caller::Anonymous.may(&scopes));
        assert!(Caller::Anonymous.may(&BTreeSet::new()));
        assert!(Caller::Local.may(&scopes));
    }

    #[test]
    fn debug_shows_no_claims() {
        let claims = crate::types::object(serde_json::json!({ "email": "ada@example.com" }));
        let user = Principal::user("https://id.example", "ada").with_claims(claims);
        assert!(!format!("{user:?}").contains("email"));
    }
}
