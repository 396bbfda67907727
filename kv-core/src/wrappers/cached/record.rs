//! The record that a local store keeps of an entry or of a miss.

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::{Entry, Revision, Timestamp, Value};

/// Eleven numbers of 16 hexadecimal digits between `{"h":"` and `","v":`.
const OPEN: &[u8] = b"{\"h\":\"";
const AFTER_NUMBERS: &[u8] = b"\",\"v\":";
const DIGITS: usize = 16;
const NUMBERS: usize = 11;
const HEADER: usize = OPEN.len() + NUMBERS * DIGITS + AFTER_NUMBERS.len();

/// What is known of a key, by whom and for how long.
#[derive(Debug)]
pub(super) struct Record {
    /// The number of the cache that filled it.
    pub(super) epoch: u64,
    /// When it was filled.
    pub(super) from: Timestamp,
    /// When its use ends.
    pub(super) until: Timestamp,
    /// The entry; `None` remembers that there is none.
    pub(super) entry: Option<Entry>,
}

/// How the revision is kept, as the header's fourth number says.
mod kind {
    pub(super) const ABSENT: u64 = 0;
    pub(super) const NO_REVISION: u64 = 1;
    pub(super) const COUNTER: u64 = 2;
    /// The text is the revision, and the value a part of it.
    pub(super) const AROUND: u64 = 3;
}

impl Record {
    /// Writes the record as a JSON object; `None` when the entry's revision cannot be kept.
    pub(super) fn encode(&self) -> Option<Value> {
        let time = |time: Option<Timestamp>| {
            let micros = time.map(|time| time.as_micros().cast_unsigned());
            [u64::from(micros.is_some()), micros.unwrap_or_default()]
        };
        let empty = Bytes::from_static(b"{}");
        let (kind, text, [a, b, c]) = match &self.entry {
            None => (kind::ABSENT, empty, [0; 3]),
            Some(entry) => {
                let value = entry.value.clone().into_bytes();
                match &entry.revision {
                    None => (kind::NO_REVISION, value, [0; 3]),
                    Some(revision) => match (revision.counter(), revision.as_bytes()) {
                        (Some((store, count)), _) => {
                            let (high, low) = halves(store);
                            (kind::COUNTER, value, [high, low, count])
                        }
                        (None, Some(stored)) => {
                            let start = place_of(&value, stored)?;
                            let length = u64::try_from(value.len()).ok()?;
                            (kind::AROUND, stored.clone(), [start, length, 0])
                        }
                        (None, None) => return None,
                    },
                }
            }
        };
        let entry = self.entry.as_ref();
        let [has_created, created] = time(entry.and_then(|entry| entry.created_at));
        let [has_end, end] = time(entry.and_then(|entry| entry.expires_at));
        let numbers: [u64; NUMBERS] = [
            self.epoch,
            self.from.as_micros().cast_unsigned(),
            self.until.as_micros().cast_unsigned(),
            kind,
            has_created,
            created,
            has_end,
            end,
            a,
            b,
            c,
        ];
        let mut record = BytesMut::with_capacity(HEADER + text.len() + 1);
        record.put_slice(OPEN);
        for number in numbers {
            for shift in (0..DIGITS).rev() {
                let digit = (number >> (4 * shift)) & 0xf;
                record.put_u8(b"0123456789abcdef"[usize::try_from(digit).ok()?]);
            }
        }
        record.put_slice(AFTER_NUMBERS);
        record.put_slice(&text);
        record.put_u8(b'}');
        Some(Value::from_stored(record.freeze()))
    }

    /// Reads what [`encode`](Self::encode) wrote, sharing the bytes; `None` for anything else.
    pub(super) fn decode(record: Value) -> Option<Self> {
        let record = record.into_bytes();
        let header = record.get(..HEADER)?.strip_prefix(OPEN)?;
        let digits = header.strip_suffix(AFTER_NUMBERS)?;
        let mut numbers = [0; NUMBERS];
        for (number, digits) in numbers.iter_mut().zip(digits.chunks_exact(DIGITS)) {
            *number = digits.iter().try_fold(0_u64, |number, digit| {
                let digit = char::from(*digit).to_digit(16)?;
                Some((number << 4) | u64::from(digit))
            })?;
        }
        let end_of_text = record.len().checked_sub(1)?;
        if end_of_text < HEADER {
            return None;
        }
        let text = record.slice(HEADER..end_of_text);
        let time = |number: u64| Timestamp::from_micros(number.cast_signed());
        let [
            epoch,
            from,
            until,
            kind,
            has_created,
            created,
            has_end,
            end,
            a,
            b,
            c,
        ] = numbers;
        let (value, revision) = match kind {
            kind::ABSENT => (None, None),
            kind::NO_REVISION => (Some(text), None),
            kind::COUNTER => {
                let store = (u128::from(a) << 64) | u128::from(b);
                let revision = Revision::from_counter(store.to_be_bytes(), c);
                (Some(text), Some(revision))
            }
            kind::AROUND => {
                let start = usize::try_from(a).ok()?;
                let end = start.checked_add(usize::try_from(b).ok()?)?;
                if end > text.len() {
                    return None;
                }
                let value = text.slice(start..end);
                (Some(value), Some(Revision::from_bytes(text)))
            }
            _ => return None,
        };
        let entry = value.map(|value| {
            Entry::new(Value::from_stored(value))
                .with_created_at((has_created == 1).then(|| time(created)))
                .with_expires_at((has_end == 1).then(|| time(end)))
                .with_revision(revision)
        });
        Some(Self {
            epoch,
            from: time(from),
            until: time(until),
            entry,
        })
    }
}

fn halves(store: [u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(store);
    let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
    (u64::try_from(number >> 64).unwrap_or_default(), low)
}

/// Where `value` lies in `stored`, if it is a part of the same allocation and both are objects.
fn place_of(value: &Bytes, stored: &Bytes) -> Option<u64> {
    let start = (value.as_ptr() as usize).checked_sub(stored.as_ptr() as usize)?;
    let is_inside = start.checked_add(value.len())? <= stored.len();
    (is_inside && stored.first() == Some(&b'{')).then(|| u64::try_from(start).ok())?
}
