//! The record that a local store keeps of an entry or of a miss.

use bytes::{Bytes, BytesMut};

use crate::{Entry, Revision, Timestamp, Value};

/// A record is `{"h":"<numbers>","v":<text>}`, and has a member `r` with a second text where the
/// first one is not the revision. The numbers have 16 hexadecimal digits each.
const OPEN: &[u8] = b"{\"h\":\"";
const BEFORE_TEXT: &[u8] = b"\",\"v\":";
const BEFORE_REVISION: &[u8] = b",\"r\":";
const CLOSE: &[u8] = b"}";
const DIGITS: usize = 16;
const NUMBERS: usize = 10;
const HEADER: usize = OPEN.len() + NUMBERS * DIGITS + BEFORE_TEXT.len();

/// Stands for a time that there is none of. No entry has it: it lies before the year 1.
const NO_TIME: i64 = i64::MIN;

/// What is known of a key, by whom and for how long.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The number of the cache that filled it.
    pub(super) epoch: u64,
    /// When it was filled.
    pub(super) from: Timestamp,
    /// Until when it is as good as new.
    pub(super) fresh_until: Timestamp,
    /// When its use ends.
    pub(super) until: Timestamp,
    /// The entry; `None` remembers that there is none.
    pub(super) entry: Option<Entry>,
}

/// What the texts are, as a number of the header says.
mod kind {
    /// Nothing: there is no entry.
    pub(super) const ABSENT: u64 = 0;
    /// The value; the entry has no revision.
    pub(super) const NO_REVISION: u64 = 1;
    /// The value; the revision is a number.
    pub(super) const COUNTER: u64 = 2;
    /// The revision, and the value is a part of it: what Redis or DynamoDB stores.
    pub(super) const AROUND: u64 = 3;
    /// The value, and the revision as a second text: what is stored of an encrypted value.
    pub(super) const BESIDE: u64 = 4;
}

impl Record {
    /// Writes the record as a JSON object; `None` when the revision has a form that cannot be kept.
    pub(super) fn encode(&self) -> Option<Value> {
        let entry = self.entry.as_ref();
        let value = entry.map_or(Bytes::from_static(b"{}"), |entry| {
            entry.value.clone().into_bytes()
        });
        let revision = entry.and_then(|entry| entry.revision.as_ref());
        let mut second = Bytes::new();
        let (kind, text, [a, b, c]) = match revision {
            None if entry.is_none() => (kind::ABSENT, value, [0; 3]),
            None => (kind::NO_REVISION, value, [0; 3]),
            Some(revision) => match (revision.counter(), revision.as_bytes()) {
                (Some((store, count)), _) => {
                    let store = u128::from_be_bytes(store);
                    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
                    let halves = [(store >> 64) as u64, store as u64];
                    (kind::COUNTER, value, [halves[0], halves[1], count])
                }
                (None, Some(stored)) => match place_of(&value, stored) {
                    Some(start) => {
                        let length = u64::try_from(value.len()).ok()?;
                        (kind::AROUND, stored.clone(), [start, length, 0])
                    }
                    None if stored.starts_with(b"{") => {
                        second = stored.clone();
                        let length = u64::try_from(value.len()).ok()?;
                        (kind::BESIDE, value, [length, 0, 0])
                    }
                    None => return None,
                },
                (None, None) => return None,
            },
        };
        let time = |time: Option<Timestamp>| {
            let micros = time.map_or(NO_TIME, Timestamp::as_micros);
            micros.cast_unsigned()
        };
        let numbers: [u64; NUMBERS] = [
            self.epoch,
            time(Some(self.from)),
            time(Some(self.fresh_until)),
            time(Some(self.until)),
            time(entry.and_then(|entry| entry.created_at)),
            time(entry.and_then(|entry| entry.expires_at)),
            // A small number and three large ones, of which none is needed by every kind.
            kind,
            a,
            b,
            c,
        ];
        let capacity = HEADER + text.len() + BEFORE_REVISION.len() + second.len() + CLOSE.len();
        let mut record = BytesMut::with_capacity(capacity);
        record.extend_from_slice(OPEN);
        for number in numbers {
            record.extend_from_slice(format!("{number:016x}").as_bytes());
        }
        record.extend_from_slice(BEFORE_TEXT);
        record.extend_from_slice(&text);
        if kind == kind::BESIDE {
            record.extend_from_slice(BEFORE_REVISION);
            record.extend_from_slice(&second);
        }
        record.extend_from_slice(CLOSE);
        Some(Value::from_stored(record.freeze()))
    }

    /// Reads what [`encode`](Self::encode) wrote, sharing the bytes; `None` for what has another
    /// shape or, before anything else is read, another epoch.
    pub(super) fn decode(record: Value, epoch: u64) -> Option<Self> {
        let record = record.into_bytes();
        let header = record.get(..HEADER)?.strip_prefix(OPEN)?;
        let (digits, rest) = header.strip_suffix(BEFORE_TEXT)?.as_chunks::<DIGITS>();
        let digits: &[[u8; DIGITS]; NUMBERS] = digits.try_into().ok()?;
        if !rest.is_empty() || number(&digits[0]) != epoch {
            return None;
        }
        let [_, from, fresh_until, until, created, end, kind, a, b, c] = digits.map(|d| number(&d));
        let text = record.slice(HEADER..record.len().checked_sub(CLOSE.len())?.max(HEADER));
        let part = |start: u64, length: u64| {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(length).ok()?)?;
            (end <= text.len()).then(|| text.slice(start..end))
        };
        let (value, revision) = match kind {
            kind::ABSENT => (None, None),
            kind::NO_REVISION => (Some(text), None),
            kind::COUNTER => {
                let store = (u128::from(a) << 64) | u128::from(b);
                let revision = Revision::from_counter(store.to_be_bytes(), c);
                (Some(text), Some(revision))
            }
            kind::AROUND => (Some(part(a, b)?), Some(Revision::from_bytes(text))),
            kind::BESIDE => {
                let start = a.checked_add(BEFORE_REVISION.len() as u64)?;
                let length = (text.len() as u64).checked_sub(start)?;
                let revision = Revision::from_bytes(part(start, length)?);
                (Some(part(0, a)?), Some(revision))
            }
            _ => return None,
        };
        let entry = value.map(|value| Entry {
            value: Value::from_stored(value),
            created_at: time(created),
            expires_at: time(end),
            revision,
        });
        Some(Self {
            epoch,
            from: time(from)?,
            fresh_until: time(fresh_until)?,
            until: time(until)?,
            entry,
        })
    }
}

fn time(number: u64) -> Option<Timestamp> {
    let micros = number.cast_signed();
    (micros != NO_TIME).then(|| Timestamp::from_micros(micros))
}

/// Reads a number, eight digits at a time. What is no digit makes some other number.
fn number(digits: &[u8; DIGITS]) -> u64 {
    let half = |digits: [u8; 8]| {
        let digits = u64::from_be_bytes(digits);
        // A letter's lowest four bits are its place among the letters, and its seventh bit is set.
        let letters = digits >> 6 & 0x0101_0101_0101_0101;
        let nibbles = (digits & 0x0f0f_0f0f_0f0f_0f0f) + letters * 9;
        let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
        let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
        (pairs | pairs >> 16) & 0xffff_ffff
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *digits;
    half([a, b, c, d, e, f, g, h]) << 32 | half([i, j, k, l, m, n, o, p])
}

/// Where `value` lies in `stored`, if it is a part of the same bytes and those are an object.
fn place_of(value: &Bytes, stored: &Bytes) -> Option<u64> {
    let start = (value.as_ptr() as usize).checked_sub(stored.as_ptr() as usize)?;
    let is_inside = start.checked_add(value.len())? <= stored.len();
    (is_inside && stored.starts_with(b"{")).then(|| u64::try_from(start).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: u64 = 0xfeed_0123_4567_89ab;

    fn record(entry: Option<Entry>) -> Record {
        Record {
            epoch: EPOCH,
            from: Timestamp::from_micros(-1),
            fresh_until: Timestamp::from_micros(5),
            until: Timestamp::MAX,
            entry,
        }
    }

    fn entry() -> Entry {
        Entry::new(Value::from_json(r#"{"a":[1,{}]}"#).unwrap())
            .with_created_at(Timestamp::MIN)
            .with_expires_at(Timestamp::MAX)
    }

    fn comes_back(record: &Record) {
        let stored = record.encode().unwrap();
        assert!(Value::from_json(stored.clone().into_bytes()).is_ok());
        assert_eq!(Record::decode(stored, EPOCH).as_ref(), Some(record));
    }

    #[test]
    fn entries_with_every_kind_of_revision_and_misses_come_back() {
        comes_back(&record(None));
        comes_back(&record(Some(entry().with_created_at(None))));
        let counter = Revision::from_counter([0xab; 16], u64::MAX);
        comes_back(&record(Some(entry().with_revision(counter))));
        let sealed = Bytes::from_static(br#"{"__encrypted_data__":"eA=="}"#);
        let beside = Revision::from_bytes(sealed);
        comes_back(&record(Some(entry().with_revision(beside))));
        let stored = crate::envelope::encode("c", "k", &entry()).unwrap();
        let around = crate::envelope::decode_entry(stored).unwrap();
        comes_back(&record(Some(around)));
    }

    #[test]
    fn a_value_that_is_a_part_of_its_revision_is_kept_once() {
        let stored = crate::envelope::encode("c", "k", &entry()).unwrap();
        let length = stored.len();
        let around = crate::envelope::decode_entry(stored).unwrap();
        let kept = record(Some(around)).encode().unwrap();
        assert_eq!(kept.len(), HEADER + length + CLOSE.len());
    }

    #[test]
    fn a_revision_that_is_no_json_is_not_kept() {
        let revision = Revision::from_bytes(Bytes::from_static(b"v7"));
        assert!(
            record(Some(entry().with_revision(revision)))
                .encode()
                .is_none()
        );
    }

    #[test]
    fn a_record_of_another_epoch_is_none() {
        let stored = record(None).encode().unwrap();
        assert!(Record::decode(stored, EPOCH + 1).is_none());
    }

    #[test]
    fn what_was_cut_or_changed_anywhere_is_no_panic() {
        let stored = crate::envelope::encode("c", "k", &entry()).unwrap();
        let around = crate::envelope::decode_entry(stored).unwrap();
        let sealed = Revision::from_bytes(Bytes::from_static(b"{}"));
        for entry in [around, entry().with_revision(sealed)] {
            let whole = record(Some(entry)).encode().unwrap().into_bytes();
            for place in 0..whole.len() {
                let cut = Value::from_stored(whole.slice(..place));
                drop(Record::decode(cut, EPOCH));
                for byte in [b'0', b'f', b'{', 0xff] {
                    let mut changed = whole.to_vec();
                    changed[place] = byte;
                    drop(Record::decode(Value::from_stored(changed.into()), EPOCH));
                }
            }
        }
    }
}
