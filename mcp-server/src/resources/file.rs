//! [`FileResource`]: a file as a resource.

use std::path::PathBuf;

use super::contents::{MAX_FILE_BYTES, mime_type_of, read_file};
use super::{Resource, ResourceDefinition, ResourceRequest, ResourceResult};
use crate::private::{blocking, boxed};
use crate::{BoxFuture, Context, ResourceError};

/// A file as a resource: what it holds when it is read.
///
/// It is read on a thread where that may block: as text when it is UTF-8, else as bytes. A client
/// learns that the file is larger than the limit, and nothing else of why it cannot be read.
///
/// # Examples
///
/// ```
/// use mcp_server::{FileResource, Resource};
///
/// let readme = FileResource::new("docs://readme", "README.md").with_max_bytes(64 * 1024);
/// assert_eq!(readme.definition().mime_type.as_deref(), Some("text/markdown"));
/// ```
#[derive(Clone, Debug)]
pub struct FileResource {
    definition: ResourceDefinition,
    path: PathBuf,
    max_bytes: u64,
}

impl FileResource {
    /// Makes a resource of the file `path`, of `definition` or of a URI by whose end it is called.
    /// Its media type defaults to what the file's extension tells, else to `text/plain` or
    /// `application/octet-stream`. Opens nothing.
    pub fn new(definition: impl Into<ResourceDefinition>, path: impl Into<PathBuf>) -> Self {
        let (mut definition, path) = (definition.into(), path.into());
        if definition.mime_type.is_none() {
            definition.mime_type = mime_type_of(&path).map(str::to_owned);
        }
        Self {
            definition,
            path,
            max_bytes: MAX_FILE_BYTES,
        }
    }

    /// Sets how large a file is read. Defaults to 10 MiB.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Resource for FileResource {
    fn definition(&self) -> ResourceDefinition {
        self.definition.clone()
    }

    fn read(
        &self,
        _cx: Context,
        request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
        let Self {
            definition,
            path,
            max_bytes,
        } = self.clone();
        boxed(async move {
            let mime_type = definition.mime_type;
            let read = move || read_file(&path, max_bytes, request.uri, mime_type.as_deref());
            Ok(blocking(read).await??.into())
        })
    }
}
