//! The item of an entry: two key attributes, the JSON record, and the time DynamoDB expires it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use kv_core::{Entry, Error, Result, Revision, Timestamp, envelope};

/// The partition key.
pub(crate) const COLLECTION: &str = "collection";
/// The sort key.
pub(crate) const KEY: &str = "key";
/// The record, as text.
pub(crate) const VALUE: &str = "value";
/// The second in which the entry ends; not there when it never does.
pub(crate) const TTL: &str = "ttl";

/// The largest item that DynamoDB takes, with the names of its attributes.
pub(crate) const MAX_ITEM_BYTES: u64 = 400 * 1024;

/// The longest value. The rest of an item is for the record around it and for names of usual
/// length.
pub(crate) const MAX_VALUE_BYTES: u64 = 399 * 1024;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// An entry made ready to be written.
pub(crate) struct Record {
    pub(crate) row: Item,
    pub(crate) item: Item,
    pub(crate) revision: Revision,
}

impl Record {
    /// Makes the item of `entry`, which must be [prepared](Entry::prepared).
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] when the value is over 399 KiB, or the item over 400 KiB.
    pub(crate) fn encode(collection: &str, key: &str, entry: &Entry) -> Result<Self> {
        check_size(entry.value.len(), MAX_VALUE_BYTES)?;
        let stored = envelope::encode(collection, key, entry)?;
        // A record is UTF-8. If it were not, this error would not quote it.
        let text = std::str::from_utf8(&stored).map_err(Error::encode)?;
        let ttl = entry.expires_at.map(|end| floor(end).to_string());

        let ttl_bytes = ttl.as_ref().map_or(0, |ttl| TTL.len() + number_bytes(ttl));
        let names = COLLECTION.len() + KEY.len() + VALUE.len();
        let bytes = names + collection.len() + key.len() + text.len() + ttl_bytes;
        check_size(bytes, MAX_ITEM_BYTES)?;

        let row = row(collection, key);
        let mut item = row.clone();
        item.insert(VALUE.to_owned(), AttributeValue::S(text.to_owned()));
        if let Some(ttl) = ttl {
            item.insert(TTL.to_owned(), AttributeValue::N(ttl));
        }
        Ok(Self {
            row,
            item,
            revision: Revision::from_bytes(stored),
        })
    }

    /// Tells whether `item` is what this write has stored.
    pub(crate) fn is(&self, item: &Item) -> bool {
        item.get(VALUE) == self.item.get(VALUE)
    }
}

/// Makes the key attributes of an entry.
pub(crate) fn row(collection: &str, key: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([
        (COLLECTION.to_owned(), text(collection)),
        (KEY.to_owned(), text(key)),
    ])
}

/// Returns the key attributes of an item.
pub(crate) fn row_of(item: &Item) -> Option<Item> {
    Some(row(text(item, COLLECTION)?, text(item, KEY)?))
}

/// Returns a text attribute of an item.
pub(crate) fn text<'a>(item: &'a Item, attribute: &str) -> Option<&'a str> {
    item.get(attribute)?.as_s().ok().map(String::as_str)
}

/// Returns about how many bytes the texts of an item are in a request, where they stand in JSON once
/// more: at least as many as are sent, with some room for what is around them.
pub(crate) fn sent_bytes(item: &Item) -> usize {
    const AROUND: usize = 32;
    const CONTROL: usize = r"\u0000".len();
    let sent = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => CONTROL,
        _ => 1,
    };
    let texts = item.values().filter_map(|value| value.as_s().ok());
    texts
        .map(|text| AROUND + text.bytes().map(sent).sum::<usize>())
        .sum()
}

/// Reads the entry of an item, whoever wrote it; `None` when it has expired at `now`.
///
/// Where the record's expiry and the attribute `ttl` differ, as when another program has changed
/// the attribute, the attribute counts.
///
/// # Errors
///
/// [`Error::Corrupted`] when there is no record, it cannot be read, or `ttl` is no whole number.
pub(crate) fn decode(mut item: Item, now: Timestamp) -> Result<Option<Entry>> {
    let Some(AttributeValue::S(stored)) = item.remove(VALUE) else {
        return Err(corrupted("its `value` is no text"));
    };
    let mut entry = envelope::decode_entry(Bytes::from(stored))?;
    if let Some(ttl) = item.get(TTL) {
        let second = ttl.as_n().ok().and_then(|number| number.parse().ok());
        let second: i64 = second.ok_or_else(|| corrupted("its `ttl` is no whole number"))?;
        if entry.expires_at.map(floor) != Some(second) {
            let end = second.saturating_mul(MICROS_PER_SECOND);
            entry.expires_at = Some(Timestamp::from_micros(end));
        }
    }
    Ok((!entry.is_expired(now)).then_some(entry))
}

/// Tells whether an item is one to list at `now`: a live entry, or a record that cannot be read.
pub(crate) fn is_present(item: Item, now: Timestamp) -> bool {
    !matches!(decode(item, now), Ok(None))
}

/// Returns the second that holds `time`, counted from the Unix epoch.
fn floor(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(MICROS_PER_SECOND)
}

/// Returns how many bytes DynamoDB counts for a whole number: one for two digits, zeros at the end
/// not counted, one more, and one for a sign.
fn number_bytes(number: &str) -> usize {
    let digits = number.trim_start_matches('-');
    let sign = number.len() - digits.len();
    digits.trim_end_matches('0').len().div_ceil(2) + 1 + sign
}

fn check_size(bytes: usize, limit: u64) -> Result<()> {
    let size = bytes as u64;
    if size > limit {
        return Err(Error::TooLarge { limit, size });
    }
    Ok(())
}

fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use kv_core::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn entry(micros: i64) -> Entry {
        let value = Value::from_json(r#"{"a":1}"#).unwrap();
        Entry::new(value).with_expires_at(Timestamp::from_micros(micros))
    }

    fn item(micros: i64) -> Item {
        Record::encode("c", "k", &entry(micros)).unwrap().item
    }

    fn with_ttl(micros: i64, ttl: AttributeValue) -> Result<Option<Entry>> {
        let mut item = item(micros);
        item.insert(TTL.to_owned(), ttl);
        decode(item, NOW)
    }

    fn expiry(entry: Result<Option<Entry>>) -> i64 {
        entry.unwrap().unwrap().expires_at.unwrap().as_micros()
    }

    #[test]
    fn the_attribute_is_the_floor_of_the_expiry() {
        let ttl = |micros| item(micros)[TTL].as_n().unwrap().clone();
        assert_eq!(ttl(1_999_999), "1");
        assert_eq!(ttl(-1), "-1");
    }

    #[test]
    fn an_expiry_is_kept_to_the_microsecond() {
        assert_eq!(expiry(decode(item(1_999_999), NOW)), 1_999_999);
    }

    #[test]
    fn an_attribute_that_was_changed_counts() {
        let changed = with_ttl(1_999_999, AttributeValue::N("7".to_owned()));
        assert_eq!(expiry(changed), 7_000_000);
        let past = with_ttl(1_999_999, AttributeValue::N("0".to_owned()));
        assert_eq!(past.unwrap(), None);
    }

    #[test]
    fn a_far_attribute_is_held_at_the_last_time() {
        let far = with_ttl(1_999_999, AttributeValue::N(i64::MAX.to_string()));
        assert_eq!(expiry(far), Timestamp::MAX.as_micros());
    }

    #[test]
    fn an_attribute_that_is_no_whole_number_is_corrupted() {
        for ttl in [
            AttributeValue::N("4000000000.5".to_owned()),
            AttributeValue::N("9".repeat(38)),
            AttributeValue::S("7".to_owned()),
        ] {
            let read = with_ttl(1_999_999, ttl);
            assert!(matches!(read, Err(Error::Corrupted { .. })), "{read:?}");
        }
    }

    #[test]
    fn an_item_without_a_record_is_corrupted() {
        let read = decode(row("c", "k"), NOW);
        assert!(matches!(read, Err(Error::Corrupted { .. })), "{read:?}");
    }

    #[test]
    fn a_value_over_399_kib_is_too_large() {
        let value = |length: usize| {
            let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
            Record::encode("c", "k", &Entry::new(Value::from_json(text).unwrap()))
        };
        assert!(value(399 << 10).is_ok());
        let error = value((399 << 10) + 1).err();
        assert!(
            matches!(
                error,
                Some(Error::TooLarge {
                    limit: 408_576,
                    size: 408_577
                })
            ),
            "{error:?}"
        );
    }
}
