//! The record of one entry: a bincode envelope around the JSON text, with a hash over all of it.
//!
//! Fixed-width, little-endian: hash `u64`, created `i64`, expires `Option<i64>` (one tag byte),
//! count `u64`, length `u64`, JSON text. The format is pinned by a golden test; a change of it
//! needs a new format number in the `meta` table.

use bincode::config::{Configuration, Fixint, LittleEndian};
use kv_core::Error;
use twox_hash::XxHash3_64;

/// What stands in the file: the hash first, so that it can be filled in last.
type Wire<'a> = (u64, i64, Option<i64>, u64, &'a [u8]);

const CONFIG: Configuration<LittleEndian, Fixint> =
    bincode::config::standard().with_fixed_int_encoding();

const HASH_BYTES: usize = size_of::<u64>();

/// What a record holds beside its hash. The value is borrowed from the page it was read from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// Microseconds since the Unix epoch.
    pub(crate) created_at: i64,
    /// Microseconds since the Unix epoch; `None` never ends.
    pub(crate) expires_at: Option<i64>,
    /// The number of the write, unique in this database.
    pub(crate) count: u64,
    /// The JSON text.
    pub(crate) value: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the record that is stored under `collection` and `key`.
    ///
    /// The hash covers the names too, so a record that turns up under another name is refused like
    /// one with a flipped bit.
    pub(crate) fn decode(collection: &str, key: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        let (wire, length): (Wire<'a>, usize) = bincode::borrow_decode_from_slice(bytes, CONFIG)
            .map_err(|_| corrupted("it does not decode"))?;
        if length != bytes.len() {
            return Err(corrupted("bytes follow its end"));
        }
        let (stored_hash, created_at, expires_at, count, value) = wire;
        if stored_hash != hash(collection, key, &bytes[HASH_BYTES..]) {
            return Err(corrupted("its hash does not match"));
        }
        Ok(Self {
            created_at,
            expires_at,
            count,
            value,
        })
    }

    /// Writes the record of `collection` and `key` into `out`, replacing what is there.
    pub(crate) fn encode(
        &self,
        collection: &str,
        key: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.clear();
        let unhashed: Wire<'_> = (0, self.created_at, self.expires_at, self.count, self.value);
        bincode::encode_into_std_write(unhashed, out, CONFIG).map_err(Error::encode)?;
        let hash = hash(collection, key, &out[HASH_BYTES..]);
        out[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        Ok(())
    }

    /// Tells whether the entry is absent at `now`, in microseconds.
    pub(crate) fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Hashes the names and the record behind its hash. Each part seeds the next, so that a byte moved
/// from one part to its neighbour changes the result.
fn hash(collection: &str, key: &str, body: &[u8]) -> u64 {
    let seed = XxHash3_64::oneshot(collection.as_bytes());
    let seed = XxHash3_64::oneshot_with_seed(seed, key.as_bytes());
    XxHash3_64::oneshot_with_seed(seed, body)
}

fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

/// Reads `bytes` as they are and with their hash set right: what decodes is written the same.
#[cfg(fuzzing)]
pub fn fuzz_record(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    for _ in 0..2 {
        if let Ok(record) = Record::decode("c", "k", &bytes) {
            let mut again = Vec::new();
            record
                .encode("c", "k", &mut again)
                .expect("what was read can be written");
            assert!(again == bytes, "one record has two forms");
        }
        if bytes.len() > HASH_BYTES {
            let hash = hash("c", "k", &bytes[HASH_BYTES..]);
            bytes[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record<'_> = Record {
        created_at: 1,
        expires_at: Some(2),
        count: 3,
        value: br#"{"a":1}"#,
    };

    fn encoded() -> Vec<u8> {
        let mut out = Vec::new();
        RECORD.encode("c", "k", &mut out).unwrap();
        out
    }

    #[test]
    fn the_stored_bytes_never_change() {
        let golden = concat!(
            "bca77c6e0cffa511",
            "0100000000000000",
            "010200000000000000",
            "0300000000000000",
            "0700000000000000",
            "7b2261223a317d"
        );
        let hex: String = encoded().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn a_record_reads_back_as_written() {
        assert!(Record::decode("c", "k", &encoded()).unwrap() == RECORD);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = encoded();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let result = Record::decode("c", "k", &bad);
            assert!(matches!(result, Err(Error::Corrupted { .. })), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_and_an_extension_are_found() {
        let good = encoded();
        for length in 0..good.len() {
            assert!(Record::decode("c", "k", &good[..length]).is_err());
        }
        let longer = [good.as_slice(), b"x"].concat();
        assert!(Record::decode("c", "k", &longer).is_err());
    }

    #[test]
    fn a_record_under_another_name_is_refused() {
        for (collection, key) in [("c", "l"), ("d", "k"), ("ck", ""), ("", "ck")] {
            assert!(Record::decode(collection, key, &encoded()).is_err());
        }
    }

    #[test]
    fn an_expiry_is_reached_at_its_microsecond() {
        assert!(!RECORD.is_expired(1) && RECORD.is_expired(2));
    }
}
