//! The two formats of an encrypted value, and how one is told from another.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kv_core::{DecryptKind, Entry, Error, Result, Value, envelope, name};
use serde::Deserialize;

use crate::key::KeyRing;
use crate::store::Format;

/// The member that an encrypted value has, and no other.
const DATA: &str = "__encrypted_data__";

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
    /// Encrypts the value of an entry, whose times are final, in the store's format.
    pub(crate) fn seal(&self, collection: &str, key: &str, entry: Entry) -> Result<Entry> {
        self.seal_as(self.format, collection, key, entry)
    }

    pub(crate) fn seal_as(
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
        let (token, version) = match format {
            Format::Bound => {
                let record = envelope::encode_unmarked(collection, key, &entry)?;
                (primary.encrypt_bound(&record, second), BOUND_VERSION)
            }
            Format::PythonCompatible => {
                let token = primary.encrypt_unbound(entry.value.as_bytes(), second);
                (token, UNBOUND_VERSION)
            }
        };
        let mut text = String::with_capacity(128 + token.len().div_ceil(3) * 4);
        text.push_str(r#"{"__encrypted_data__":""#);
        STANDARD.encode_string(token, &mut text);
        text.push_str(&format!(r#"","__encryption_version__":{version}"#));
        if format == Format::Bound {
            text.push_str(&format!(r#","__key_id__":"{}""#, primary.id));
        }
        text.push('}');
        entry.value = Value::from_stored(Bytes::from(text));
        Ok(entry)
    }

    /// Decrypts the value of an entry that was read.
    pub(crate) fn open(&self, collection: &str, key: &str, entry: Entry) -> Result<Entry> {
        self.look_into(collection, key, entry)
            .map(|(entry, _)| entry)
    }

    /// Decrypts the value of an entry that was read, and tells what it was.
    pub(crate) fn look_into(
        &self,
        collection: &str,
        key: &str,
        mut entry: Entry,
    ) -> Result<(Entry, Found)> {
        let Some(sealed) = sealed(&entry.value)? else {
            if self.allow_plaintext {
                return Ok((entry, Found::Plaintext));
            }
            return Err(refused(DecryptKind::NotEncrypted));
        };
        let data = sealed
            .data
            .ok_or_else(|| corrupted("it lacks the encrypted data"))?;
        let version = sealed.version;
        let (value, found) = match version.ok_or_else(|| corrupted("it lacks its version"))? {
            BOUND_VERSION => {
                let id = sealed
                    .key_id
                    .ok_or_else(|| corrupted("it lacks its key id"))?;
                let ready = self
                    .keys
                    .find(&id)
                    .ok_or(refused(DecryptKind::UnknownKey))?;
                let plain = token(&data).and_then(|token| ready.decrypt_bound(&token));
                let plain = plain.ok_or(refused(DecryptKind::Authentication))?;
                let found = Found::Sealed {
                    format: Format::Bound,
                    by_primary: ready.id == self.keys.primary().id,
                };
                (bound(plain, collection, key, &entry)?, found)
            }
            UNBOUND_VERSION if self.allow_unbound || self.format == Format::PythonCompatible => {
                let plain = token(&data).and_then(|token| self.keys.try_all(&token));
                let (place, plain) = plain.ok_or(refused(DecryptKind::Authentication))?;
                let found = Found::Sealed {
                    format: Format::PythonCompatible,
                    by_primary: place == 0,
                };
                (envelope::decode_value(&plain.into())?, found)
            }
            UNBOUND_VERSION => return Err(refused(DecryptKind::Unbound)),
            _ => return Err(refused(DecryptKind::UnsupportedVersion)),
        };
        entry.value = value;
        Ok((entry, found))
    }

    /// Returns the longest value whose encrypted form, under any names, is at most `limit` bytes.
    pub(crate) fn longest_value(&self, limit: u64) -> u64 {
        const AROUND_TOKEN: u64 = 128;
        const TOKEN_WITHOUT_TEXT: u64 = 1 + 8 + 16 + 32;
        const AROUND_VALUE: u64 = 224;
        const LONGEST_ESCAPE: u64 = r"\u0000".len() as u64;
        const NAMES: u64 =
            LONGEST_ESCAPE * (name::MAX_COLLECTION_BYTES + name::MAX_KEY_BYTES) as u64;

        let token = limit.saturating_sub(AROUND_TOKEN) / 4 * 3;
        let bytes = (token / 4 * 3).saturating_sub(TOKEN_WITHOUT_TEXT);
        // At least one byte of padding.
        let plain = (bytes / 16 * 16).saturating_sub(1);
        match self.format {
            Format::Bound => plain.saturating_sub(AROUND_VALUE + NAMES),
            Format::PythonCompatible => plain,
        }
    }
}

/// Reads an encrypted value; `None` for one that is not.
fn sealed(value: &Value) -> Result<Option<Sealed<'_>>> {
    match serde_json::from_slice::<Sealed<'_>>(value.as_bytes()) {
        Ok(Sealed { data: None, .. }) => Ok(None),
        Ok(sealed) => Ok(Some(sealed)),
        // Such as a value of Python's with a NaN, which is nothing that was encrypted.
        Err(_) if !contains(value.as_bytes(), DATA.as_bytes()) => Ok(None),
        Err(_) => Err(corrupted("it is not of the form of an encrypted value")),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Returns the Fernet token in the data, which encodes it a second time.
///
/// The crate does not look at the padding. Here a token has the one spelling that it was written in.
fn token(data: &str) -> Option<String> {
    let token = String::from_utf8(STANDARD.decode(data).ok()?).ok()?;
    (token.len() % 4 == 0 && !token.ends_with("===")).then_some(token)
}

/// Takes the value out of a record that was encrypted, if it is that of this name and these times.
fn bound(record: Vec<u8>, collection: &str, key: &str, entry: &Entry) -> Result<Value> {
    let record = envelope::decode(record.into())?;
    let written = &record.entry;
    let same_times =
        written.created_at == entry.created_at && written.expires_at == entry.expires_at;
    if !same_times || !record.is_of(collection, key) {
        return Err(refused(DecryptKind::Moved));
    }
    Ok(record.entry.value)
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
