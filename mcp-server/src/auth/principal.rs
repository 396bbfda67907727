//! [`Principal`]: an authenticated caller.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// An authenticated caller, as the issuer of its token names it.
///
/// A tower layer that authenticates HTTP requests puts one into the request's extensions; tools
/// then have a [`user_state`](crate::Context::user_state) of that caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Principal {
    /// Who vouches for the caller: the `iss` of its token.
    pub issuer: String,
    /// The caller: the `sub` of its token. A client that acts for itself has none.
    pub subject: Option<String>,
    /// The OAuth client that the caller uses.
    pub client_id: Option<String>,
}

impl Principal {
    /// Makes the principal of the user `subject` at `issuer`.
    #[must_use]
    pub fn user(issuer: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: Some(subject.into()),
            client_id: None,
        }
    }

    /// Makes the principal of a client that acts for itself, without a user.
    #[must_use]
    pub fn client(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            subject: None,
            client_id: Some(client_id.into()),
        }
    }

    /// Sets the OAuth client that the caller uses.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Returns the segment of storage keys that belongs to this caller: the SHA-256, in hex, of the
    /// compact JSON `[issuer, subject]`, or of `[client_id, issuer, null]` without a subject.
    pub(crate) fn segment(&self) -> String {
        let identity = match &self.subject {
            Some(subject) => serde_json::json!([self.issuer, subject]),
            None => serde_json::json!([self.client_id, self.issuer, null]),
        };
        let hash = Sha256::digest(identity.to_string());
        hash.iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
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
}
