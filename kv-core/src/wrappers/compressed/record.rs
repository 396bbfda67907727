//! The record of a compressed value, as the `CompressionWrapper` of Python's py-key-value writes it.

use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use memchr::memmem::Finder;

use crate::envelope::{scan, unescape};
use crate::{Error, Result, Source, Value};

/// The member that makes an object a record. Readers look at no other, Python's neither.
const DATA: &str = "__compressed_data__";

/// One of these stands in every record: the member's name, or how an escape of one of its letters
/// begins.
static SIGNS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [DATA, r"\u00"].map(Finder::new));

const HEAD: &str = r#"{"__compressed_data__":""#;
const TAIL: &str = r#"","__compression_version__":1,"__compression_algorithm__":"gzip"}"#;

/// What a stored value holds.
pub(super) enum Unpacked {
    /// No record: the value is what it is.
    Plain,
    /// A record, of this value.
    Value(Value),
    /// A record of more bytes than were asked for.
    TooLarge,
}

/// Makes the record of `value`.
pub(super) fn pack(value: &Value, level: u32) -> Result<Value> {
    let compressed = gzip(value.as_bytes(), level).map_err(Error::encode)?;
    // A third is what base64 adds.
    let mut record = String::with_capacity(HEAD.len() + compressed.len() * 4 / 3 + 4 + TAIL.len());
    record.push_str(HEAD);
    STANDARD.encode_string(&compressed, &mut record);
    record.push_str(TAIL);
    Ok(Value::from_stored(
        record.into_bytes().into_boxed_slice().into(),
    ))
}

fn gzip(text: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text)?;
    encoder.finish()
}

/// Tells whether `value` looks like a record.
pub(super) fn is_record(value: &Value) -> bool {
    data(value).is_some()
}

/// Reads a stored value, decompressing at most `max` bytes and one more.
///
/// # Errors
///
/// [`Error::Corrupted`] for a record that is broken.
pub(super) fn unpack(value: &Value, max: u64) -> Result<Unpacked> {
    let Some(data) = data(value) else {
        return Ok(Unpacked::Plain);
    };
    let data = unescape(data).ok_or_else(|| corrupted("its compressed data is no string"))?;
    // Without the source, which quotes a byte of the value.
    let compressed = STANDARD
        .decode(&*data)
        .map_err(|_| corrupted("its compressed data is not base64"))?;
    let mut text = Vec::new();
    let decoder = MultiGzDecoder::new(&*compressed);
    let read = decoder.take(max.saturating_add(1)).read_to_end(&mut text);
    read.map_err(|error| Error::Corrupted {
        reason: "its compressed data is not gzip",
        source: source(error),
    })?;
    if text.len() as u64 > max {
        return Ok(Unpacked::TooLarge);
    }
    object(text).map(Unpacked::Value)
}

/// Makes the error of a record that decompresses to more than `limit` bytes.
pub(super) fn too_large(limit: u64) -> Error {
    Error::Corrupted {
        reason: "it decompresses to more than the limit",
        source: source(Error::TooLarge {
            limit,
            size: limit.saturating_add(1),
        }),
    }
}

/// Finds the compressed data of a record: a JSON value of some kind. `None` when `value` is no
/// record, or nothing that can be read.
fn data(value: &Value) -> Option<&str> {
    // Reading all members takes several times as long, and most values have no such one.
    let mut signs = SIGNS.iter();
    signs.find(|sign| sign.find(value.as_bytes()).is_some())?;
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    let mut data = None;
    let members = scan::members(text, |name, member| {
        if unescape(&text[name]).as_deref() == Some(DATA) {
            data = Some(member);
        }
    });
    members.ok()?;
    data.map(|member| &text[member])
}

/// Takes what was decompressed as a value, when it is one.
fn object(text: Vec<u8>) -> Result<Value> {
    let utf8 =
        std::str::from_utf8(&text).map_err(|_| corrupted("it is compressed from no UTF-8"))?;
    let span = scan::value(utf8).map_err(|_| corrupted("it is compressed from no JSON"))?;
    if !utf8[span.clone()].starts_with('{') {
        return Err(corrupted(
            "it is compressed from something other than an object",
        ));
    }
    let text = bytes::Bytes::from(text.into_boxed_slice());
    Ok(Value::from_stored(text.slice(span)))
}

const fn corrupted(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

fn source(error: impl std::error::Error + Send + Sync + 'static) -> Option<Source> {
    Some(Arc::new(error))
}
