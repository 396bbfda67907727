//! [`Name`]: what the cache is keyed by, and [`NameRef`], which looks it up without allocating.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;

/// What stands between collection and key. A collection holds none and does not end in `:`, so the
/// first one in a name is it.
pub(crate) const SEPARATOR: &str = "::";

/// A collection and a key, in one text that the index shares.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    text: Arc<str>,
    collection_len: usize,
}

/// A borrowed [`Name`]. Both hash alike.
#[derive(Clone, Copy)]
pub(crate) struct NameRef<'a> {
    pub(crate) collection: &'a str,
    pub(crate) key: &'a str,
}

impl Name {
    /// Takes a text that [`NameRef::to_text`] made.
    pub(crate) fn from_text(text: Arc<str>) -> Self {
        let (collection, _) = split(&text);
        Self {
            collection_len: collection.len(),
            text,
        }
    }

    pub(crate) const fn text(&self) -> &Arc<str> {
        &self.text
    }

    fn as_ref(&self) -> NameRef<'_> {
        NameRef {
            collection: &self.text[..self.collection_len],
            key: &self.text[self.collection_len + SEPARATOR.len()..],
        }
    }
}

impl Hash for Name {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_ref().hash(state);
    }
}

impl<'a> NameRef<'a> {
    pub(crate) const fn new(collection: &'a str, key: &'a str) -> Self {
        Self { collection, key }
    }

    pub(crate) fn to_name(self) -> Name {
        Name {
            text: [self.collection, SEPARATOR, self.key].concat().into(),
            collection_len: self.collection.len(),
        }
    }
}

impl Hash for NameRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.collection.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    #[inline]
    fn equivalent(&self, name: &Name) -> bool {
        let (collection, key) = (self.collection.as_bytes(), self.key.as_bytes());
        let text = name.text.as_bytes();
        name.collection_len == collection.len()
            && text.len() == collection.len() + SEPARATOR.len() + key.len()
            && text.ends_with(key)
            && text.starts_with(collection)
    }
}

/// Splits the text of a name into collection and key.
pub(crate) fn split(text: &str) -> (&str, &str) {
    text.split_once(SEPARATOR).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn a_borrowed_name_hashes_and_compares_like_the_owned_one() {
        let hasher = foldhash::quality::RandomState::default();
        let borrowed = NameRef::new("sessions", "a::b");
        let owned = borrowed.to_name();
        assert_eq!(hasher.hash_one(borrowed), hasher.hash_one(&owned));
        assert!(borrowed.equivalent(&owned));
    }

    #[test]
    fn names_that_join_to_the_same_text_are_not_equivalent() {
        let owned = NameRef::new("a", "b::c").to_name();
        assert!(!NameRef::new("a::b", "c").equivalent(&owned));
    }

    #[test]
    fn a_text_splits_at_its_first_separator() {
        for (collection, key) in [("a", "b"), ("a:b", ":c"), ("a", "::b::c"), (":a", ":")] {
            let name = NameRef::new(collection, key).to_name();
            assert_eq!(split(name.text()), (collection, key));
            assert!(Name::from_text(Arc::clone(name.text())) == name);
        }
    }
}
