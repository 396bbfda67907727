//! The names of records: `collection::key`, and the patterns that find them.

use kv_core::name;

/// What stands between collection and key. No collection holds it, so the first one is it.
const SEPARATOR: &str = "::";

/// Returns the name of the record of `key` in `collection`.
pub(crate) fn record(collection: &str, key: &str) -> String {
    let mut record = String::with_capacity(collection.len() + SEPARATOR.len() + key.len());
    record.push_str(collection);
    record.push_str(SEPARATOR);
    record.push_str(key);
    record
}

/// Returns collection and key of a record's name; `None` when no store could have made it.
pub(crate) fn split(record: &str) -> Option<(&str, &str)> {
    let (collection, key) = record.split_once(SEPARATOR)?;
    name::check(collection, key).ok()?;
    Some((collection, key))
}

/// Returns the glob of the records in `collection` whose keys start with `prefix`.
pub(crate) fn keys_pattern(collection: &str, prefix: &str) -> String {
    let mut pattern = escape(collection);
    pattern.push_str(SEPARATOR);
    pattern.push_str(&escape(prefix));
    pattern.push('*');
    pattern
}

/// Returns the glob of the records whose collections start with `prefix`.
pub(crate) fn collections_pattern(prefix: &str) -> String {
    let mut pattern = escape(prefix);
    pattern.push('*');
    pattern.push_str(SEPARATOR);
    pattern.push('*');
    pattern
}

/// Takes the meaning from the characters that a glob of Redis gives one.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_ends_the_collection() {
        assert_eq!(split("a::b::c"), Some(("a", "b::c")));
        assert_eq!(split("a:::b"), Some(("a", ":b")));
        assert_eq!(split(&record("a:b", "::")), Some(("a:b", "::")));
    }

    #[test]
    fn a_name_that_no_store_makes_is_none() {
        for record in ["", "a", "a:b", "::", "::b", "a::"] {
            assert_eq!(split(record), None, "{record}");
        }
    }

    #[test]
    fn a_pattern_gives_no_character_of_a_name_a_meaning() {
        assert_eq!(keys_pattern("a*[b]", "?\\^"), r"a\*\[b\]::\?\\\^*");
        assert_eq!(collections_pattern("a*"), r"a\**::*");
    }
}
