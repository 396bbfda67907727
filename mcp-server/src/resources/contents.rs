//! Making contents of text, of bytes and of files.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::ResourceError;
use crate::types::ResourceContents;

/// How large a file may be that is read whole, unless its resource says otherwise.
pub(super) const MAX_FILE_BYTES: u64 = 10 * 1024 * 1024;

/// Makes a text of the contents of `uri`.
pub(super) fn text(text: String, uri: String) -> ResourceContents {
    ResourceContents::text(text, uri)
}

/// Makes bytes of the contents of `uri`.
pub(super) fn blob(data: impl AsRef<[u8]>, uri: String) -> ResourceContents {
    ResourceContents::blob(BASE64_STANDARD.encode(data), uri)
}

/// Reads a file as the contents of `uri`: as text when it is UTF-8. Blocks meanwhile.
///
/// # Errors
///
/// A visible one when the file has more than `max_bytes`; a masked one when it cannot be read, or
/// is none: what else has a path may never end.
pub(super) fn read_file(
    path: &Path,
    max_bytes: u64,
    uri: String,
    mime_type: Option<&str>,
) -> Result<ResourceContents, ResourceError> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file").into());
    }
    let mut data = Vec::new();
    let limit = max_bytes.saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut data)?;
    if u64::try_from(data.len()).is_ok_and(|bytes| bytes > max_bytes) {
        let message = format!("the file has more than {max_bytes} bytes");
        return Err(ResourceError::new(message));
    }
    Ok(contents_of(data, uri, mime_type))
}

/// Makes contents of `uri`: text when it is UTF-8. The media type defaults to the plain one of
/// either.
pub(super) fn contents_of(data: Vec<u8>, uri: String, mime_type: Option<&str>) -> ResourceContents {
    let (contents, default) = match String::from_utf8(data) {
        Ok(data) => (text(data, uri), "text/plain"),
        Err(error) => (blob(error.into_bytes(), uri), "application/octet-stream"),
    };
    contents.with_mime_type(mime_type.unwrap_or(default))
}

/// Returns the media type that the extension of a path tells.
pub(super) fn mime_type_of(path: &Path) -> Option<&'static str> {
    mime_guess::from_path(path).first_raw()
}
