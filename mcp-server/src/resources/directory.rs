//! [`DirectoryResource`] and [`DirectoryFiles`]: a folder and its files as resources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::contents::{MAX_FILE_BYTES, mime_type_of, read_file, text};
use super::{Resource, ResourceDefinition, ResourceRequest, ResourceResult};
use crate::private::{blocking, boxed};
use crate::{BoxFuture, Context, ResourceError};

/// How many files and folders a listing may look at.
const MAX_ENTRIES: usize = 10_000;

/// The parameter of a file's path.
const PATH: &str = "path";

/// What is written with `%` in the path of a URI.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A folder as a resource: the list of its files, also of those in its folders.
///
/// It is read as JSON, `{"files": [{"path": "a/b.md", "uri": "docs://manual/a/b.md", "size": 7,
/// "mimeType": "text/markdown"}]}`, in the order of paths. [`files`](Self::files) is the template by
/// which the files themselves are read; add both. All is read on a thread where that may block.
///
/// Files and folders whose name begins with a dot are not there unless
/// [`with_hidden`](Self::with_hidden) says so. Nor are files to which a symbolic link leads out of
/// the folder; links to folders are not listed. Who may write in the folder must be trusted not to
/// change links while a file is read.
///
/// # Examples
///
/// ```
/// use mcp_server::{DirectoryResource, Resource, Server};
///
/// let manual = DirectoryResource::new("docs://manual", "/srv/manual");
/// assert_eq!(manual.files().definition().uri, "docs://manual/{path*}");
/// let server = Server::builder("Docs").resource(manual.files()).resource(manual).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DirectoryResource {
    definition: ResourceDefinition,
    folder: Folder,
}

/// The files of a folder as a resource template. Made by [`DirectoryResource::files`].
#[derive(Clone, Debug)]
pub struct DirectoryFiles {
    definition: ResourceDefinition,
    folder: Folder,
}

#[derive(Clone, Debug)]
struct Folder {
    path: PathBuf,
    /// Files whose name begins with a dot are there.
    hidden: bool,
    max_bytes: u64,
}

impl DirectoryResource {
    /// Makes a resource of the folder `path`, of `definition` or of a URI by whose end it is
    /// called. Opens nothing.
    pub fn new(definition: impl Into<ResourceDefinition>, path: impl Into<PathBuf>) -> Self {
        Self {
            definition: definition.into().with_mime_type("application/json"),
            folder: Folder {
                path: path.into(),
                hidden: false,
                max_bytes: MAX_FILE_BYTES,
            },
        }
    }

    /// Sets whether files and folders whose name begins with a dot are there. Defaults to `false`.
    #[must_use]
    pub const fn with_hidden(mut self, hidden: bool) -> Self {
        self.folder.hidden = hidden;
        self
    }

    /// Sets how large a file is read. Defaults to 10 MiB.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.folder.max_bytes = bytes;
        self
    }

    /// Makes the template by which the files are read: the URI of the list, a `/` and the path.
    /// It has the description, title and tags of the list.
    #[must_use]
    pub fn files(&self) -> DirectoryFiles {
        let mut definition = self.definition.clone();
        definition.uri = format!("{}/{{{PATH}*}}", base(&definition.uri));
        definition.name.push_str("_files");
        definition.mime_type = None;
        DirectoryFiles {
            definition,
            folder: self.folder.clone(),
        }
    }
}

impl Resource for DirectoryResource {
    fn definition(&self) -> ResourceDefinition {
        self.definition.clone()
    }

    /// Lists the files.
    ///
    /// # Errors
    ///
    /// A visible one when there are more than 10,000 files and folders; a masked one when the
    /// folder cannot be read.
    fn read(
        &self,
        _cx: Context,
        request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
        let folder = self.folder.clone();
        boxed(async move {
            let uri = base(&request.uri).to_owned();
            let files = blocking(move || folder.list(&uri)).await??;
            let list = json!({ "files": files }).to_string();
            Ok(text(list, request.uri)
                .with_mime_type("application/json")
                .into())
        })
    }
}

impl Resource for DirectoryFiles {
    fn definition(&self) -> ResourceDefinition {
        self.definition.clone()
    }

    /// Reads a file: as text when it is UTF-8, else as bytes.
    ///
    /// # Errors
    ///
    /// A visible one when there is no such file, or it is larger than the limit; a masked one when
    /// it cannot be read.
    fn read(
        &self,
        _cx: Context,
        request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
        let folder = self.folder.clone();
        boxed(async move { blocking(move || folder.read(&request)).await? })
    }
}

impl Folder {
    /// Lists the files in the order of their paths. `uri` is that of the folder.
    fn list(&self, uri: &str) -> Result<Vec<Value>, ResourceError> {
        let root = self.path.canonicalize()?;
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if folder.is_empty() => return Err(error.into()),
                // It may have gone meanwhile, or not be ours to read.
                Err(_) => continue,
            };
            for entry in entries {
                let entry = entry?;
                seen += 1;
                if seen > MAX_ENTRIES {
                    let message = format!("there are more than {MAX_ENTRIES} files and folders");
                    return Err(ResourceError::new(message));
                }
                let Ok(name) = entry.file_name().into_string() else {
                    continue;
                };
                let path = format!("{folder}{name}");
                if entry.file_type()?.is_dir() && self.shows(Path::new(&path)) {
                    folders.push(format!("{path}/"));
                } else if let Some(file) = self.find(&root, &path) {
                    let described = describe(uri, &path, &file);
                    files.extend(described.map(|described| (path, described)));
                }
            }
        }
        Ok(files.into_values().collect())
    }

    fn read(&self, request: &ResourceRequest) -> Result<ResourceResult, ResourceError> {
        let root = self.path.canonicalize()?;
        let path = request.parameters.get(PATH);
        let file = path.and_then(|path| self.find(&root, path));
        // Nothing tells a file that is not there from one that is not to be seen.
        let file = file.ok_or_else(|| ResourceError::invalid_arguments("there is no such file"))?;
        let (uri, mime_type) = (request.uri.clone(), mime_type_of(&file));
        Ok(read_file(&file, self.max_bytes, uri, mime_type)?.into())
    }

    /// Returns where the file `path` really is, when that is in the folder.
    fn find(&self, root: &Path, path: &str) -> Option<PathBuf> {
        if !self.shows(Path::new(path)) {
            return None;
        }
        let file = root.join(path).canonicalize().ok()?;
        let inside = self.shows(file.strip_prefix(root).ok()?);
        (inside && file.is_file()).then_some(file)
    }

    /// Tells whether a path goes down only, and into nothing hidden.
    fn shows(&self, path: &Path) -> bool {
        path.components().all(|part| match part {
            Component::Normal(name) => self.hidden || !name.as_encoded_bytes().starts_with(b"."),
            _ => false,
        })
    }
}

/// Returns what a listing tells of a file; nothing when it has gone.
fn describe(uri: &str, path: &str, file: &Path) -> Option<Value> {
    let size = fs::metadata(file).ok()?.len();
    let uri = format!("{uri}/{}", utf8_percent_encode(path, ENCODED));
    let mut described = json!({ "path": path, "uri": uri, "size": size });
    if let Some(mime_type) = mime_type_of(file) {
        described["mimeType"] = mime_type.into();
    }
    Some(described)
}

/// Returns the URI to which a `/` and a path are added.
fn base(uri: &str) -> &str {
    uri.strip_suffix('/').unwrap_or(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_down_only_whoever_asks() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        fs::write(root.join("file"), "x").unwrap();
        let folder = DirectoryResource::new("docs://a", &root)
            .with_hidden(true)
            .folder;
        let root = root.canonicalize().unwrap();
        assert!(folder.find(&root, "file").is_some());
        let absolute = root.join("file");
        for path in [
            "",
            "..",
            "../secret",
            "../root/file",
            "./../secret",
            absolute.to_str().unwrap(),
        ] {
            assert!(folder.find(&root, path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_folder_that_holds_too_much_is_not_listed() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..=MAX_ENTRIES {
            fs::write(root.path().join(number.to_string()), "").unwrap();
        }
        let folder = DirectoryResource::new("docs://a", root.path()).folder;
        let error = folder.list("docs://a").unwrap_err();
        assert!(error.message().unwrap().contains("10000"));
        fs::remove_file(root.path().join("0")).unwrap();
        assert_eq!(folder.list("docs://a").unwrap().len(), MAX_ENTRIES);
    }
}
