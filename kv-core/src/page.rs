//! Listing in pages: [`KeyQuery`], [`KeyPage`], [`CollectionPage`] and the [`Cursor`] between them.

use std::fmt;
use std::num::NonZeroUsize;

/// Where a listing goes on. Opaque: only the store that handed it out can read it.
///
/// Its text holds no secret beyond the names of the listing, and may travel through a client. As a
/// key can be a secret, `Debug` prints only its length.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// Makes a cursor from its text. A text that the store did not hand out is answered with
    /// [`Error::InvalidCursor`](crate::Error::InvalidCursor) or with a page.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the cursor's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}

/// What to list: names with a prefix, from a cursor on, about so many a page.
///
/// `Debug` prints the length of the prefix, which may be that of a key.
///
/// # Examples
///
/// ```
/// use kv_core::KeyQuery;
///
/// let query = KeyQuery::new().with_prefix("user:").with_page_size(100);
/// assert_eq!(query.page_size(), 100);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Only names that start with this text. Default: empty, every name.
    pub prefix: String,
    /// The `next` of the page before. Default: `None`, from the start.
    pub cursor: Option<Cursor>,
    /// How many names to return, as a hint. Default: `None`, 1000.
    pub page_size: Option<NonZeroUsize>,
}

impl KeyQuery {
    /// The page size when none is given.
    pub const DEFAULT_PAGE_SIZE: usize = 1000;

    /// The largest page that is ever returned.
    pub const MAX_PAGE_SIZE: usize = 10_000;

    /// Makes a query for every name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lists only names that start with `prefix`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Goes on where another page ended.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.cursor = cursor.into();
        self
    }

    /// Asks for about `size` names a page; zero means the default.
    #[must_use]
    pub const fn with_page_size(mut self, size: usize) -> Self {
        self.page_size = NonZeroUsize::new(size);
        self
    }

    /// Returns the page size to use: at least 1, at most [`MAX_PAGE_SIZE`](Self::MAX_PAGE_SIZE).
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page_size.map_or(Self::DEFAULT_PAGE_SIZE, |size| {
            size.get().min(Self::MAX_PAGE_SIZE)
        })
    }
}

impl fmt::Debug for KeyQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuery")
            .field("prefix", &format_args!("{} bytes", self.prefix.len()))
            .field("cursor", &self.cursor)
            .field("page_size", &self.page_size())
            .finish()
    }
}

/// One page of keys. `Debug` prints how many.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys, in no particular order, without repeats. May be empty while `next` is set.
    pub keys: Vec<String>,
    /// Where to go on; `None` when the listing is complete.
    pub next: Option<Cursor>,
}

impl KeyPage {
    /// Makes a page.
    #[must_use]
    pub const fn new(keys: Vec<String>, next: Option<Cursor>) -> Self {
        Self { keys, next }
    }
}

impl fmt::Debug for KeyPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPage")
            .field("keys", &self.keys.len())
            .field("next", &self.next)
            .finish()
    }
}

/// One page of collections. `Debug` prints how many.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionPage {
    /// The collections, in no particular order, without repeats. May be empty while `next` is set.
    pub collections: Vec<String>,
    /// Where to go on; `None` when the listing is complete.
    pub next: Option<Cursor>,
}

impl CollectionPage {
    /// Makes a page.
    #[must_use]
    pub const fn new(collections: Vec<String>, next: Option<Cursor>) -> Self {
        Self { collections, next }
    }
}

impl fmt::Debug for CollectionPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionPage")
            .field("collections", &self.collections.len())
            .field("next", &self.next)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_name() {
        let names = || vec!["hunter2".to_owned()];
        let cursor = Cursor::new("hunter2");
        let query = KeyQuery::new()
            .with_prefix("hunter2")
            .with_cursor(cursor.clone());
        let keys = KeyPage::new(names(), Some(cursor.clone()));
        let collections = CollectionPage::new(names(), Some(cursor));
        let shown = format!("{query:?} {keys:?} {collections:?}");
        assert_eq!(
            shown,
            "KeyQuery { prefix: 7 bytes, cursor: Some(Cursor(7 bytes)), page_size: 1000 } \
             KeyPage { keys: 1, next: Some(Cursor(7 bytes)) } \
             CollectionPage { collections: 1, next: Some(Cursor(7 bytes)) }"
        );
    }
}
