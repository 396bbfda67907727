//! [`IconExt`]: icons out of bytes and files, and what all icons must be.

use std::path::Path;
use std::{fs, io};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::types::Icon;

/// How large a picture may be that stands in every list.
const MAX_ICON_BYTES: u64 = 64 * 1024;

/// Makes icons that hold their picture, as a `data:` URI.
///
/// Building a server checks the icons of its components: each is an `https:` address or a `data:`
/// URI of an image whose picture has at most 64 KiB, as it is part of every list.
///
/// # Examples
///
/// ```
/// use mcp_server::types::Icon;
/// use mcp_server::{IconExt, tool};
///
/// /// Rolls a die.
/// #[tool(icons("https://example.com/die.png", Icon::from_bytes(b"<svg/>", "image/svg+xml")))]
/// async fn roll() -> u8 {
///     4
/// }
/// let icon = Icon::from_bytes(b"<svg/>", "image/svg+xml");
/// assert_eq!(icon.src, "data:image/svg+xml;base64,PHN2Zy8+");
/// ```
pub trait IconExt: Sized {
    /// Makes an icon of `data` of the type `mime_type`.
    fn from_bytes(data: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self;

    /// Makes an icon of the file `path`, whose extension tells its type. Blocks meanwhile.
    ///
    /// # Errors
    ///
    /// When the file cannot be read; [`io::ErrorKind::InvalidInput`] when its extension is not that
    /// of an image; [`io::ErrorKind::FileTooLarge`] when it has more than 64 KiB.
    fn from_path(path: impl AsRef<Path>) -> io::Result<Self>;
}

impl IconExt for Icon {
    fn from_bytes(data: impl AsRef<[u8]>, mime_type: impl Into<String>) -> Self {
        let mime_type = mime_type.into();
        let data = BASE64_STANDARD.encode(data);
        Self::new(format!("data:{mime_type};base64,{data}")).with_mime_type(mime_type)
    }

    fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mime_type = mime_guess::from_path(path).first_raw();
        let mime_type = mime_type.filter(|mime_type| mime_type.starts_with("image/"));
        let mime_type = mime_type.ok_or_else(|| {
            let message = "its extension is not that of any image";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        if fs::metadata(path)?.len() > MAX_ICON_BYTES {
            let message = format!("it has more than {MAX_ICON_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(Self::from_bytes(fs::read(path)?, mime_type))
    }
}

/// Checks that clients may load `icons`.
///
/// # Errors
///
/// Says what is wrong with the first that they may not.
pub(crate) fn check(icons: &[Icon]) -> Result<(), String> {
    const MAX_DATA_URI_BYTES: u64 = MAX_ICON_BYTES.div_ceil(3) * 4 + 256;

    for icon in icons {
        let (scheme, rest) = icon.src.split_once(':').unwrap_or_default();
        let is_data = scheme.eq_ignore_ascii_case("data");
        let is_image = is_data && rest.starts_with("image/") && rest.contains(',');
        let is_address = scheme.eq_ignore_ascii_case("https")
            && rest.strip_prefix("//").is_some_and(|rest| !rest.is_empty());
        if !is_image && !is_address {
            let src: String = icon.src.chars().take(100).collect();
            return Err(format!(
                "the icon {src:?} is neither an https: address nor a data: URI of an image"
            ));
        }
        if is_data && icon.src.len() as u64 > MAX_DATA_URI_BYTES {
            return Err(format!("an icon has more than {MAX_ICON_BYTES} bytes"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(src: impl Into<String>) -> Result<(), String> {
        check(&[Icon::new("https://example.com/a.png"), Icon::new(src)])
    }

    #[test]
    fn an_icon_is_an_https_address_or_an_image_in_a_data_uri() {
        for src in ["https://a/b.png", "HTTPS://a", "data:image/png;base64,AQ=="] {
            check_one(src).unwrap();
        }
        for src in [
            "",
            "a.png",
            "https://",
            "https:a",
            "http://a/b.png",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,<p>",
            "data:image/png",
        ] {
            let reason = check_one(src).unwrap_err();
            assert!(reason.contains("neither"), "{src}: {reason}");
        }
    }

    #[test]
    fn an_icon_of_a_list_is_small() {
        let limit = usize::try_from(MAX_ICON_BYTES).unwrap();
        check(&[Icon::from_bytes(vec![0; limit], "image/png")]).unwrap();
        let reason = check(&[Icon::from_bytes(vec![0; limit + 1024], "image/png")]);
        assert!(reason.unwrap_err().contains("65536"));
    }

    #[test]
    fn an_icon_is_read_only_when_it_is_a_small_image() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            fs::write(&path, vec![1; bytes]).unwrap();
            Icon::from_path(path)
        };
        let icon = write("a.png", 1).unwrap();
        assert_eq!(icon.src, "data:image/png;base64,AQ==");
        assert_eq!(icon.mime_type.as_deref(), Some("image/png"));
        let limit = usize::try_from(MAX_ICON_BYTES).unwrap();
        write("b.gif", limit).unwrap();
        let kind = |found: io::Result<Icon>| found.unwrap_err().kind();
        assert_eq!(kind(write("c.gif", limit + 1)), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(write("d.txt", 1)), io::ErrorKind::InvalidInput);
        let gone = Icon::from_path(folder.path().join("e.png"));
        assert_eq!(kind(gone), io::ErrorKind::NotFound);
    }
}
