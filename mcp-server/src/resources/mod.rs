//! Resources: what a client reads by its URI.

mod contents;
mod definition;
mod directory;
mod file;
mod fixed;
mod resource;
mod result;
mod syntax;
mod template;
mod web;

pub use definition::ResourceDefinition;
pub use directory::{DirectoryFiles, DirectoryResource};
pub use file::FileResource;
pub use fixed::{BytesResource, TextResource};
pub use resource::{Resource, ResourceRequest};
pub use result::ResourceResult;
pub(crate) use template::{UriTemplate, canonical};
pub use web::HttpResource;
