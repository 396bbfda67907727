//! [`Image`], [`Audio`] and [`File`]: contents of a result, from bytes or from the disk.

use std::path::Path;
use std::{fmt, fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::ToolResult;
use crate::types::{ContentBlock, Resource, ResourceContents};

/// Becomes one block of a result's content.
///
/// A tool may return it alone, in a `Vec`, in an `Option`, in a tuple of up to four, also after a
/// text, or in a [`ToolResult`]. A [`Resource`] becomes a link to it, [`ResourceContents`] are
/// embedded.
#[diagnostic::on_unimplemented(message = "`{Self}` is no content of a result")]
pub trait IntoContent {
    /// Makes the block.
    fn into_content(self) -> ContentBlock;
}

impl IntoContent for ContentBlock {
    fn into_content(self) -> ContentBlock {
        self
    }
}

impl IntoContent for Resource {
    fn into_content(self) -> ContentBlock {
        ContentBlock::resource_link(self)
    }
}

impl IntoContent for ResourceContents {
    fn into_content(self) -> ContentBlock {
        ContentBlock::resource(self)
    }
}

/// Defines a medium that a block holds with its type.
macro_rules! medium {
    ($(#[$doc:meta])* $name:ident, $block:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            data: Bytes,
            mime_type: String,
        }

        impl $name {
            /// Takes `data` of the type `mime_type`.
            pub fn new(data: impl Into<Bytes>, mime_type: impl Into<String>) -> Self {
                Self {
                    data: data.into(),
                    mime_type: mime_type.into(),
                }
            }

            /// Reads the file `path`, whose extension tells its type. Blocks meanwhile.
            ///
            /// # Errors
            ///
            /// When the file cannot be read; [`io::ErrorKind::InvalidInput`] when its extension is
            /// of another type, or of none.
            pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
                let path = path.as_ref();
                let mime_type = mime_type(path).filter(|mime_type| mime_type.starts_with($kind));
                let mime_type = mime_type.ok_or_else(|| {
                    let message = concat!("its extension is not that of any ", $kind, "..");
                    io::Error::new(io::ErrorKind::InvalidInput, message)
                })?;
                Ok(Self::new(fs::read(path)?, mime_type))
            }
        }

        impl IntoContent for $name {
            fn into_content(self) -> ContentBlock {
                ContentBlock::$block(STANDARD.encode(&self.data), self.mime_type)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("bytes", &self.data.len())
                    .field("mime_type", &self.mime_type)
                    .finish()
            }
        }
    };
}

medium! {
    /// A picture as content of a result.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Image, tool};
    ///
    /// /// Draws nothing.
    /// #[tool]
    /// async fn draw() -> (&'static str, Image) {
    ///     ("An empty picture", Image::new(&b"GIF89a"[..], "image/gif"))
    /// }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// assert_eq!(draw.call().await.0, "An empty picture");
    /// # });
    /// ```
    Image, image, "image/"
}

medium! {
    /// A sound as content of a result; see [`Image`].
    Audio, audio, "audio/"
}

/// A file as content of a result: an embedded resource.
///
/// # Examples
///
/// ```
/// use mcp_server::{File, ToolResult};
///
/// let report = File::text("report://2026", "# All is well").with_mime_type("text/markdown");
/// let result = ToolResult::text("Here it is").with_content(report);
/// assert_eq!(result.content.len(), 2);
/// ```
#[derive(Clone)]
pub struct File {
    uri: String,
    mime_type: String,
    data: Data,
}

#[derive(Clone)]
enum Data {
    Text(String),
    Bytes(Bytes),
}

impl File {
    /// Takes `text` as the file of `uri`. Its type is `text/plain` by default.
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            mime_type: "text/plain".to_owned(),
            data: Data::Text(text.into()),
        }
    }

    /// Takes `data` as the file of `uri`. Its type is `application/octet-stream` by default.
    pub fn bytes(uri: impl Into<String>, data: impl Into<Bytes>) -> Self {
        Self {
            uri: uri.into(),
            mime_type: "application/octet-stream".to_owned(),
            data: Data::Bytes(data.into()),
        }
    }

    /// Reads the file `path`: as text when it is UTF-8, with the type that its extension tells.
    /// Blocks meanwhile. Its URI is `file:///` and its name, without the folders it is in.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn from_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let data = fs::read(path)?;
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let uri = format!("file:///{}", percent_encode(name, NAME));
        let file = match String::from_utf8(data) {
            Ok(text) => Self::text(uri, text),
            Err(error) => Self::bytes(uri, error.into_bytes()),
        };
        Ok(match mime_type(path) {
            Some(mime_type) => file.with_mime_type(mime_type),
            None => file,
        })
    }

    /// Sets the file's type.
    #[must_use]
    pub fn with_mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.mime_type = mime_type.into();
        self
    }

    /// Sets the file's URI.
    #[must_use]
    pub fn with_uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = uri.into();
        self
    }
}

/// What is written with `%` in the name of a file.
const NAME: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn mime_type(path: &Path) -> Option<&'static str> {
    mime_guess::from_path(path).first_raw()
}

impl IntoContent for File {
    fn into_content(self) -> ContentBlock {
        let contents = match self.data {
            Data::Text(text) => ResourceContents::text(text, self.uri),
            Data::Bytes(data) => ResourceContents::blob(STANDARD.encode(&data), self.uri),
        };
        contents.with_mime_type(self.mime_type).into_content()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match &self.data {
            Data::Text(text) => text.len(),
            Data::Bytes(data) => data.len(),
        };
        f.debug_struct("File")
            .field("uri", &self.uri)
            .field("bytes", &bytes)
            .field("mime_type", &self.mime_type)
            .finish()
    }
}

impl<C: IntoContent> From<C> for ToolResult {
    fn from(content: C) -> Self {
        Self::default().with_content(content)
    }
}

impl<C: IntoContent> From<Vec<C>> for ToolResult {
    fn from(contents: Vec<C>) -> Self {
        contents
            .into_iter()
            .fold(Self::default(), Self::with_content)
    }
}

impl<C: IntoContent> From<Option<C>> for ToolResult {
    fn from(content: Option<C>) -> Self {
        content
            .into_iter()
            .fold(Self::default(), Self::with_content)
    }
}

/// Lets tuples of contents become a result: of contents alone, and after a text.
macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        impl<$($name: IntoContent),+> From<(String, $($name,)+)> for ToolResult {
            #[allow(non_snake_case, reason = "variables named like their types")]
            fn from((text, $($name,)+): (String, $($name,)+)) -> Self {
                Self::text(text) $(.with_content($name))+
            }
        }

        impl<$($name: IntoContent),+> From<(&str, $($name,)+)> for ToolResult {
            #[allow(non_snake_case, reason = "variables named like their types")]
            fn from((text, $($name,)+): (&str, $($name,)+)) -> Self {
                Self::text(text) $(.with_content($name))+
            }
        }

        impl<$($name: IntoContent),+> From<($($name,)+)> for ToolResult {
            #[allow(non_snake_case, reason = "variables named like their types")]
            fn from(($($name,)+): ($($name,)+)) -> Self {
                Self::default() $(.with_content($name))+
            }
        }
    )+};
}

tuples! { (A) (A B) (A B C) (A B C D) }

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn blocks(result: impl Into<ToolResult>) -> Value {
        serde_json::to_value(result.into().content).unwrap()
    }

    #[test]
    fn media_hold_their_bytes_with_their_type() {
        let image = Image::new(vec![1, 2], "image/png");
        let audio = Audio::new(&b"hi"[..], "audio/wav");
        assert_eq!(
            blocks((image, audio)),
            json!([
                {"type": "image", "data": "AQI=", "mimeType": "image/png"},
                {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
            ])
        );
    }

    #[test]
    fn contents_stand_alone_in_lists_in_options_and_after_a_text() {
        let image = || Image::new(vec![1], "image/png");
        let link = Resource::new("data://a", "a");
        assert_eq!(blocks(image())[0]["type"], "image");
        assert_eq!(blocks(vec![image(), image()])[1]["type"], "image");
        assert_eq!(blocks(None::<Image>), json!([]));
        assert_eq!(
            blocks(("two", link, ContentBlock::text("three"))),
            json!([
                {"type": "text", "text": "two"},
                {"type": "resource_link", "uri": "data://a", "name": "a"},
                {"type": "text", "text": "three"},
            ])
        );
    }

    #[test]
    fn a_file_is_text_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, data: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, data).unwrap();
            File::from_path(path).unwrap()
        };
        let files = vec![
            write("a b.md", b"# A"),
            write("b.bin", &[0xff]),
            write("c", b"c"),
            File::bytes("x://y", vec![1]).with_uri("x://z"),
        ];
        assert_eq!(
            blocks(files),
            json!([
                {"type": "resource", "resource":
                    {"uri": "file:///a%20b.md", "mimeType": "text/markdown", "text": "# A"}},
                {"type": "resource", "resource":
                    {"uri": "file:///b.bin", "mimeType": "application/octet-stream", "blob": "/w=="}},
                {"type": "resource", "resource":
                    {"uri": "file:///c", "mimeType": "text/plain", "text": "c"}},
                {"type": "resource", "resource":
                    {"uri": "x://z", "mimeType": "application/octet-stream", "blob": "AQ=="}},
            ])
        );
    }

    #[test]
    fn a_medium_is_read_only_when_its_extension_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.PNG");
        fs::write(&path, [1]).unwrap();
        let image = Image::from_path(&path).unwrap();
        assert_eq!(
            format!("{image:?}"),
            r#"Image { bytes: 1, mime_type: "image/png" }"#
        );
        let error = Audio::from_path(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = Image::from_path(folder.path().join("b.png")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
