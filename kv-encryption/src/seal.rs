//! The two formats of an encrypted value, and how one is told from another.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use kv_core::{DecryptKind, Entry, Error, Result, Value, envelope, name};
use serde::Deserialize;

use crate::fernet::{self, Fernet};
use crate::key::KeyRing;
use crate::store::Format;
use crate::text;

/// The member that an encrypted value has, and no other.
const DATA: &str = "__encrypted_data__";

/// How [`Policy::seal_as`] begins and goes on after the data.
const BEFORE_DATA: &str = r#"{"__encrypted_data__":""#;
const BEFORE_VERSION: &str = r#"","__encryption_version__":"#;
const BEFORE_KEY_ID: &str = r#","__key_id__":""#;
const END: &str = r#""}"#;

/// Room for the members around a token.
const AROUND_TOKEN: usize = 128;

/// Room for what a bound record holds besides the names and the value.
const AROUND_VALUE: usize = 224;

const UNBOUND_VERSION: u64 = 1;
const BOUND_VERSION: u64 = 2;

/// How a store reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) keys: KeyRing,
    pub(crate) format: Format,
    pub(crate) allow_plaintext: bool,
    pub(crate) allow_unbound: bool,
}

/// What was found in place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Plaintext,
    /// Encrypted in this format, by the primary key or another.
    Sealed {
        format: Format,
        by_primary: bool,
    },
}

/// An encrypted value, as it stands in a record.
#[derive(Deserialize)]
struct Sealed<'a> {
    #[serde(borrow, rename = "__encrypted_data__")]
    data: Option<Cow<'a, str>>,
    #[serde(rename = "__encryption_version__")]
    version: Option<u64>,
    #[serde(borrow, default, rename = "__key_id__")]
    key_id: Option<Cow<'a, str>>,
}

impl Policy {
    /// Encrypts the value of an entry, whose times are final.
    pub(crate) fn seal(
        &self,
        format: Format,
        collection: &str,
        key: &str,
        mut entry: Entry,
    ) -> Result<Entry> {
        let primary = self.keys.primary();
        let written = entry
            .created_at
            .map_or(0, |time| time.as_micros() / 1_000_000);
        let second = u64::try_from(written).unwrap_or(0);
        let (by, draft) = match format {
            Format::Bound => {
                let names = collection.len() + key.len();
                let mut draft = fernet::draft(AROUND_VALUE + names + entry.value.len());
                envelope::encode_unmarked(collection, key, &entry, &mut draft)?;
                (&primary.bound, draft)
            }
            Format::PythonCompatible => {
                let mut draft = fernet::draft(entry.value.len());
                draft.extend_from_slice(entry.value.as_bytes());
                (&primary.unbound, draft)
            }
        };
        let token = by.encrypt(draft, second).map_err(no_random_bytes)?;
        let mut text = Vec::with_capacity(AROUND_TOKEN + text::encoded_len(format, token.len()));
        text.extend_from_slice(BEFORE_DATA.as_bytes());
        text::encode(format, &token, &mut text);
        text.extend_from_slice(BEFORE_VERSION.as_bytes());
        match format {
            Format::Bound => {
                text.push(b'2');
                text.extend_from_slice(BEFORE_KEY_ID.as_bytes());
                text.extend_from_slice(primary.id.as_bytes());
                text.extend_from_slice(END.as_bytes());
            }
            Format::PythonCompatible => text.extend_from_slice(b"1}"),
        }
        entry.value = Value::from_stored(Bytes::from(text));
        Ok(entry)
    }

    /// Encrypts the values of entries in the store's format.
    pub(crate) fn seal_all(
        &self,
        collection: &str,
        entries: Vec<(String, Entry)>,
    ) -> Result<Vec<(String, Entry)>> {
        let seal = |(key, entry): (String, Entry)| {
            let entry = self.seal(self.format, collection, &key, entry)?;
            Ok((key, entry))
        };
        entries.into_iter().map(seal).collect()
    }

    /// Decrypts the values of the entries that were read for `keys`.
    pub(crate) fn open_all(
        &self,
        collection: &str,
        keys: &[impl AsRef<str>],
        read: Vec<Result<Option<Entry>>>,
    ) -> Vec<Result<Option<Entry>>> {
        let open = |(key, read): (_, Result<Option<Entry>>)| match read? {
            Some(entry) => Ok(Some(self.open(collection, AsRef::as_ref(key), entry)?.0)),
            None => Ok(None),
        };
        keys.iter().zip(read).map(open).collect()
    }

    /// Decrypts the value of an entry that was read, and tells what it was.
    pub(crate) fn open(
        &self,
        collection: &str,
        key: &str,
        mut entry: Entry,
    ) -> Result<(Entry, Found)> {
        let Some(sealed) = sealed(&entry.value)? else {
            if self.allow_plaintext {
                // What is not one object could be a whole record's end, once it is in a record.
                entry.value = envelope::decode_value(&entry.value.into_bytes())?;
                return Ok((entry, Found::Plaintext));
            }
            return Err(refused(DecryptKind::NotEncrypted));
        };
        let data = sealed
            .data
            .ok_or_else(|| corrupted("it lacks the encrypted data"))?;
        let version = sealed.version;
        let no_token = |_| refused(DecryptKind::Authentication);
        let (value, found) = match version.ok_or_else(|| corrupted("it lacks its version"))? {
            BOUND_VERSION => {
                let id = sealed
                    .key_id
                    .ok_or_else(|| corrupted("it lacks its key id"))?;
                let ready = self
                    .keys
                    .find(&id)
                    .ok_or(refused(DecryptKind::UnknownKey))?;
                let token = text::decode(Format::Bound, data.as_bytes()).map_err(no_token)?;
                if !ready.bound.is_authentic(&token) {
                    return Err(refused(DecryptKind::Authentication));
                }
                let found = Found::Sealed {
                    format: Format::Bound,
                    by_primary: ready.id == self.keys.primary().id,
                };
                let record = plaintext(&ready.bound, token)?;
                (bound(record, collection, key, &entry)?, found)
            }
            UNBOUND_VERSION if self.allow_unbound || self.format == Format::PythonCompatible => {
                let token = text::decode(Format::PythonCompatible, data.as_bytes());
                let token = token.map_err(no_token)?;
                let (place, ready) = self
                    .keys
                    .find_unbound(&token)
                    .ok_or(refused(DecryptKind::Authentication))?;
                let found = Found::Sealed {
                    format: Format::PythonCompatible,
                    by_primary: place == 0,
                };
                let value = plaintext(&ready.unbound, token)?;
                (envelope::decode_value(&value)?, found)
            }
            UNBOUND_VERSION => return Err(refused(DecryptKind::Unbound)),
            _ => return Err(refused(DecryptKind::UnsupportedVersion)),
        };
        entry.value = value;
        Ok((entry, found))
    }

    /// Returns the longest value whose encrypted form, under any names, is at most `limit` bytes.
    pub(crate) fn longest_value(&self, limit: u64) -> u64 {
        const LONGEST_ESCAPE: u64 = r"\u0000".len() as u64;
        const NAMES: u64 =
            LONGEST_ESCAPE * (name::MAX_COLLECTION_BYTES + name::MAX_KEY_BYTES) as u64;

        let token = text::longest_token(self.format, limit.saturating_sub(AROUND_TOKEN as u64));
        let bytes = token.saturating_sub(fernet::OVERHEAD as u64);
        // At least one byte of padding.
        let plain = (bytes / 16 * 16).saturating_sub(1);
        match self.format {
            Format::Bound => plain.saturating_sub(AROUND_VALUE as u64 + NAMES),
            Format::PythonCompatible => plain,
        }
    }
}

/// Reads an encrypted value; `None` for one that is not.
fn sealed(value: &Value) -> Result<Option<Sealed<'_>>> {
    if let Some(sealed) = as_written(value) {
        return Ok(Some(sealed));
    }
    match serde_json::from_slice::<Sealed<'_>>(value.as_bytes()) {
        Ok(Sealed { data: None, .. }) => Ok(None),
        Ok(sealed) => Ok(Some(sealed)),
        // Such as a value of Python's with a NaN, which is nothing that was encrypted.
        Err(_) if !contains(value.as_bytes(), DATA.as_bytes()) => Ok(None),
        Err(_) => Err(corrupted("it is not of the form of an encrypted value")),
    }
}

/// Reads a bound value that is spelled as [`Policy::seal_as`] spells it, without looking at each
/// character: where the data is anything but base64, its decoding fails.
fn as_written(value: &Value) -> Option<Sealed<'_>> {
    const KEY_ID: usize = 16;

    let text = value.as_bytes().strip_prefix(BEFORE_DATA.as_bytes())?;
    let text = std::str::from_utf8(text.strip_suffix(END.as_bytes())?).ok()?;
    let (text, key_id) = text.split_at_checked(text.len().checked_sub(KEY_ID)?)?;
    let text = text.strip_suffix(BEFORE_KEY_ID)?.strip_suffix('2')?;
    Some(Sealed {
        data: Some(text.strip_suffix(BEFORE_VERSION)?.into()),
        version: Some(BOUND_VERSION),
        key_id: Some(key_id.into()),
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Decrypts an authentic token.
fn plaintext(by: &Fernet, token: Vec<u8>) -> Result<Bytes> {
    by.decrypt(token)
        .ok_or(refused(DecryptKind::Authentication))
}

/// Takes the value out of a record that was encrypted, if it is that of this name and these times.
fn bound(record: Bytes, collection: &str, key: &str, entry: &Entry) -> Result<Value> {
    let record = envelope::decode(record)?;
    let written = &record.entry;
    let same_times =
        written.created_at == entry.created_at && written.expires_at == entry.expires_at;
    if !same_times || !record.is_of(collection, key) {
        return Err(refused(DecryptKind::Moved));
    }
    Ok(record.entry.value)
}

fn no_random_bytes(source: getrandom::Error) -> Error {
    Error::Unavailable {
        store: "the system's random source",
        reason: "it gave no bytes to encrypt with".to_owned(),
        source: Some(Arc::new(source)),
    }
}

const fn refused(kind: DecryptKind) -> Error {
    Error::Decrypt(kind)
}

const fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}
