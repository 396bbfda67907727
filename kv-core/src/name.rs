//! The rules for names, which hold for every store.
//!
//! A name that passes here can be stored by every backend, and `collection::key` says without
//! doubt which collection and which key it is of.

use crate::{Error, Result};

/// The collection of Python's py-key-value when none is given.
pub const DEFAULT_COLLECTION: &str = "default_collection";

/// The longest key, in bytes of UTF-8: what DynamoDB takes as a sort key.
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest collection name, in bytes of UTF-8: what DynamoDB takes as a partition key.
pub const MAX_COLLECTION_BYTES: usize = 2048;

/// Checks a key: 1 to 1024 bytes of any UTF-8.
///
/// # Errors
///
/// [`Error::InvalidName`] otherwise. It does not repeat the key, which may be a secret.
pub fn check_key(key: &str) -> Result<()> {
    let reason = match key.len() {
        0 => "it is empty",
        1..=MAX_KEY_BYTES => return Ok(()),
        _ => "it is longer than 1024 bytes",
    };
    Err(Error::InvalidName {
        kind: "key",
        reason,
    })
}

/// Checks a collection name: 1 to 2048 bytes of any UTF-8, without `::` and not ending in `:`.
///
/// # Errors
///
/// [`Error::InvalidName`] otherwise.
pub fn check_collection(collection: &str) -> Result<()> {
    let reason = if collection.is_empty() {
        "it is empty"
    } else if collection.len() > MAX_COLLECTION_BYTES {
        "it is longer than 2048 bytes"
    } else if collection.contains("::") {
        "it holds `::`, which separates collection and key"
    } else if collection.ends_with(':') {
        "it ends in `:`, which would run into the separator `::`"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        kind: "collection",
        reason,
    })
}

/// Checks a prefix of [`PrefixKeys`](crate::wrappers::PrefixKeys) and
/// [`PrefixCollections`](crate::wrappers::PrefixCollections): not empty, without `__` and not
/// ending in `_`.
///
/// # Errors
///
/// [`Error::InvalidName`] otherwise.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let reason = if prefix.is_empty() {
        "it is empty"
    } else if prefix.contains("__") {
        "it holds `__`, which separates prefix and name"
    } else if prefix.ends_with('_') {
        "it ends in `_`, which would run into the separator `__`"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName {
        kind: "prefix",
        reason,
    })
}

/// Checks a collection and a key, as every operation on one entry does.
///
/// # Errors
///
/// As [`check_collection`] and [`check_key`].
pub fn check(collection: &str, key: &str) -> Result<()> {
    check_collection(collection)?;
    check_key(key)
}

/// Checks a collection and any number of keys, as every bulk operation does before it begins.
///
/// # Errors
///
/// As [`check_collection`] and [`check_key`], for the first name that breaks a rule.
pub fn check_all<'a>(collection: &str, keys: impl IntoIterator<Item = &'a str>) -> Result<()> {
    check_collection(collection)?;
    keys.into_iter().try_for_each(check_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_at_both_limits_pass() {
        assert!(check_key("k").is_ok() && check_key(&"k".repeat(1024)).is_ok());
    }

    #[test]
    fn keys_beyond_the_limits_are_refused() {
        assert!(check_key("").is_err() && check_key(&"k".repeat(1025)).is_err());
    }

    #[test]
    fn a_key_is_measured_in_bytes() {
        assert!(check_key(&"é".repeat(513)).is_err());
    }

    #[test]
    fn a_collection_that_would_blur_the_separator_is_refused() {
        for collection in ["a::b", "a:", "::", ":"] {
            assert!(check_collection(collection).is_err(), "{collection}");
        }
        assert!(check_collection(":a:b").is_ok());
    }

    #[test]
    fn all_names_of_a_bulk_call_are_checked() {
        assert!(check_all("a", ["k", "l"]).is_ok() && check_all("a", []).is_ok());
        assert!(check_all("a:", []).is_err() && check_all("a", ["k", ""]).is_err());
    }

    #[test]
    fn a_prefix_that_would_blur_the_separator_is_refused() {
        for prefix in ["", "a__b", "a_", "__"] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
        assert!(check_prefix("_a_b").is_ok());
    }
}
