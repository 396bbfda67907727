//! Resources: what a client reads by its URI.

mod definition;
mod resource;
mod result;
mod syntax;
mod template;

pub use definition::ResourceDefinition;
pub use resource::{Resource, ResourceRequest};
pub use result::ResourceResult;
pub(crate) use template::UriTemplate;
