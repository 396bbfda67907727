//! [`TextResource`] and [`BytesResource`]: resources whose content is at hand.

use std::fmt;

use bytes::Bytes;
use futures_util::future::{FutureExt as _, ready};

use super::contents::{blob, text};
use super::{Resource, ResourceDefinition, ResourceRequest, ResourceResult};
use crate::types::ResourceContents;
use crate::{BoxFuture, Context, ResourceError};

/// Defines a resource whose content is at hand.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident, $content:ty, $mime_type:literal, $contents:path) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            definition: ResourceDefinition,
            content: $content,
        }

        impl $name {
            /// Makes the resource of `definition`, or of a URI by whose end it is called. Its size
            #[doc = concat!("is told, its media type defaults to `", $mime_type, "`.")]
            pub fn new(
                definition: impl Into<ResourceDefinition>,
                content: impl Into<$content>,
            ) -> Self {
                let (mut definition, content) = (definition.into(), content.into());
                definition.size = u64::try_from(content.len()).ok();
                definition.mime_type.get_or_insert_with(|| $mime_type.to_owned());
                Self { definition, content }
            }
        }

        impl Resource for $name {
            fn definition(&self) -> ResourceDefinition {
                self.definition.clone()
            }

            fn read(
                &self,
                _cx: Context,
                request: ResourceRequest,
            ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
                let contents: ResourceContents = $contents(self.content.clone(), request.uri);
                let contents = match &self.definition.mime_type {
                    Some(mime_type) => contents.with_mime_type(mime_type),
                    None => contents,
                };
                ready(Ok(contents.into())).boxed()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("uri", &self.definition.uri)
                    .field("bytes", &self.content.len())
                    .finish()
            }
        }
    };
}

fixed! {
    /// A resource that is a text.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Resource, ResourceDefinition, Server, TextResource};
    ///
    /// let motd = TextResource::new("text://motd", "Good morning");
    /// assert_eq!(motd.definition().name, "motd");
    /// let readme = ResourceDefinition::new("text://readme", "readme")
    ///     .with_description("Read it first")
    ///     .with_mime_type("text/markdown");
    /// let readme = TextResource::new(readme, "# Read me");
    /// let server = Server::builder("Test").resource(motd).resource(readme).build()?;
    /// # Ok::<_, mcp_server::Error>(())
    /// ```
    TextResource, String, "text/plain", text
}

fixed! {
    /// A resource that is bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{BytesResource, Resource, ResourceDefinition};
    ///
    /// let dot = ResourceDefinition::new("image://dot", "dot").with_mime_type("image/gif");
    /// let dot = BytesResource::new(dot, &b"GIF89a"[..]);
    /// assert_eq!(dot.definition().size, Some(6));
    /// ```
    BytesResource, Bytes, "application/octet-stream", blob
}
