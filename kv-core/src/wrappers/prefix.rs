//! [`Prefix`]: what [`PrefixKeys`](super::PrefixKeys) and
//! [`PrefixCollections`](super::PrefixCollections) have in common.

use std::fmt;

use crate::{KeyQuery, Result, name};

#[cfg(doc)]
use crate::Error;

/// What stands between a prefix and a name.
const SEPARATOR: &str = "__";

/// A prefix with its separator, for names of one kind.
///
/// A prefix holds no `__` and does not end in `_`, so the first `__` of a stored name ends its
/// prefix, and no two prefixes share a name.
#[derive(Clone)]
pub(super) struct Prefix {
    text: String,
    check: fn(&str) -> Result<()>,
}

impl Prefix {
    /// Makes a prefix for names that `check` accepts.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] when `prefix` breaks the rules for prefixes, or when no name with it
    /// could be stored.
    pub(super) fn new(prefix: &str, check: fn(&str) -> Result<()>) -> Result<Self> {
        name::check_prefix(prefix)?;
        let text = format!("{prefix}{SEPARATOR}");
        let shortest_name = format!("{text}a");
        check(&shortest_name)?;
        Ok(Self { text, check })
    }

    /// Returns the stored name of `name`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] for a name that breaks the rules by itself; with the prefix it could
    /// seem to keep them.
    pub(super) fn add(&self, name: &str) -> Result<String> {
        (self.check)(name)?;
        Ok([&self.text, name].concat())
    }

    /// Returns the stored names of `names`.
    pub(super) fn add_all(&self, names: &[&str]) -> Result<Vec<String>> {
        names.iter().map(|name| self.add(name)).collect()
    }

    /// Returns the names of those stored names that are inside the prefix.
    pub(super) fn strip_all(&self, stored: &[String]) -> Vec<String> {
        stored.iter().filter_map(|name| self.strip(name)).collect()
    }

    /// Returns the name of a stored name; `None` for one outside the prefix.
    pub(super) fn strip(&self, stored: &str) -> Option<String> {
        let name = stored.strip_prefix(&self.text)?;
        (self.check)(name).ok()?;
        Some(name.to_owned())
    }

    /// Narrows a query to the prefix.
    pub(super) fn query(&self, query: KeyQuery) -> KeyQuery {
        let prefix = self.begin(&query.prefix);
        query.with_prefix(prefix)
    }

    /// Returns how the stored names of those names begin that begin with `name`.
    pub(super) fn begin(&self, name: &str) -> String {
        format!("{}{name}", self.text)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}
