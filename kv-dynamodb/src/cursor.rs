//! The text of the cursors that listings hand out. It may come back from anybody.

use kv_core::{Cursor, Error, Result, name};

use crate::item::{self, Item};

const KEY_TAG: &str = "key:";
const COLLECTION_TAG: &str = "collection:";

/// Where a listing of collections stands: behind this row, which need not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) collection: String,
    pub(crate) key: String,
}

impl Position {
    pub(crate) fn new(collection: &str, key: &str) -> Self {
        Self {
            collection: collection.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Behind every row of `collection`: at the last key that there can be.
    pub(crate) fn after(collection: &str) -> Self {
        let last = char::MAX;
        let length = name::MAX_KEY_BYTES / last.len_utf8();
        Self::new(collection, &last.to_string().repeat(length))
    }

    pub(crate) fn row(&self) -> Item {
        item::row(&self.collection, &self.key)
    }
}

pub(crate) fn encode_key(last: &str) -> Cursor {
    Cursor::new(format!("{KEY_TAG}{last}"))
}

/// Reads the cursor of a listing of keys that start with `prefix`.
pub(crate) fn decode_key<'a>(cursor: &'a Cursor, prefix: &str) -> Result<&'a str> {
    let key = cursor
        .as_str()
        .strip_prefix(KEY_TAG)
        .filter(|key| key.starts_with(prefix))
        .ok_or(Error::InvalidCursor)?;
    name::check_key(key).map_err(|_| Error::InvalidCursor)?;
    Ok(key)
}

/// Writes `collection:<length>:<collection><key>`.
pub(crate) fn encode_position(position: &Position) -> Cursor {
    let Position { collection, key } = position;
    Cursor::new(format!(
        "{COLLECTION_TAG}{}:{collection}{key}",
        collection.len()
    ))
}

pub(crate) fn decode_position(cursor: &Cursor) -> Result<Position> {
    parse_position(cursor.as_str()).ok_or(Error::InvalidCursor)
}

fn parse_position(text: &str) -> Option<Position> {
    let (length, names) = text.strip_prefix(COLLECTION_TAG)?.split_once(':')?;
    let (collection, key) = names.split_at_checked(length.parse().ok()?)?;
    // Not by the rules for names: another program's collection may stand in between.
    let fits = (1..=name::MAX_COLLECTION_BYTES).contains(&collection.len())
        && (1..=name::MAX_KEY_BYTES).contains(&key.len());
    fits.then(|| Position::new(collection, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_as_written() {
        for position in [Position::new("a:1:b", "k:é"), Position::after("c")] {
            let cursor = encode_position(&position);
            assert_eq!(decode_position(&cursor).unwrap(), position);
        }
    }

    #[test]
    fn the_last_key_is_as_long_as_a_key_can_be() {
        assert_eq!(Position::after("c").key.len(), name::MAX_KEY_BYTES);
    }

    #[test]
    fn a_key_reads_back_as_written() {
        assert_eq!(
            decode_key(&encode_key("key:é\0"), "key").unwrap(),
            "key:é\0"
        );
    }

    #[test]
    fn a_key_of_another_prefix_is_refused() {
        assert!(decode_key(&encode_key("key"), "kez").is_err());
    }

    #[test]
    fn texts_that_no_listing_hands_out_are_refused() {
        let long = format!("{KEY_TAG}{}", "k".repeat(1025));
        let huge = format!("{COLLECTION_TAG}{}:x", u128::MAX);
        for text in ["", "x", "key:", &long] {
            assert!(decode_key(&Cursor::new(text), "").is_err(), "{text}");
        }
        for text in [
            "",
            "collection:",
            "collection:1",
            "collection:1:é",
            "collection:-1:x",
            "collection:9:x",
            "collection:1:x",
            "collection:0:x",
            "key:k",
            &huge,
        ] {
            assert!(decode_position(&Cursor::new(text)).is_err(), "{text}");
        }
    }
}
