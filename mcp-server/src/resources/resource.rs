//! [`Resource`]: the trait behind `#[resource]`.

use std::collections::BTreeMap;

use crate::{BoxFuture, Context, ResourceDefinition, ResourceError, ResourceResult};

/// Something that a client reads by its URI, or a family of such things by a URI template.
///
/// [`#[resource]`](macro@crate::resource) implements it for a function.
///
/// # Examples
///
/// ```
/// use mcp_server::types::ResourceContents;
/// use mcp_server::{BoxFuture, Context, Resource, ResourceDefinition, ResourceError};
/// use mcp_server::{ResourceRequest, ResourceResult};
///
/// struct Motd;
///
/// impl Resource for Motd {
///     fn definition(&self) -> ResourceDefinition {
///         ResourceDefinition::new("text://motd", "motd").with_mime_type("text/plain")
///     }
///
///     fn read(
///         &self,
///         _cx: Context,
///         request: ResourceRequest,
///     ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
///         Box::pin(async { Ok(ResourceContents::text("Good morning", request.uri).into()) })
///     }
/// }
/// assert!(!Motd.definition().is_template());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a resource",
    note = "write #[resource(\"scheme://path\")] above the function, or implement `Resource`"
)]
pub trait Resource: Send + Sync + 'static {
    /// Describes the resource. Called once, when the resource is added.
    fn definition(&self) -> ResourceDefinition;

    /// Answers one read.
    ///
    /// # Errors
    ///
    /// [`ResourceError::new`] for what the client may read; any other error is masked.
    fn read(
        &self,
        cx: Context,
        request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>>;
}

/// Which resource a client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceRequest {
    /// The URI as the client wrote it.
    pub uri: String,
    /// What stands in `uri` for each name of the template, percent-decoded.
    pub parameters: BTreeMap<String, String>,
}

impl ResourceRequest {
    /// Asks for `uri`, without parameters.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            parameters: BTreeMap::new(),
        }
    }

    /// Sets what stands in `uri` for each name of the template. Defaults to nothing.
    #[must_use]
    pub fn with_parameters(mut self, parameters: BTreeMap<String, String>) -> Self {
        self.parameters = parameters;
        self
    }
}
