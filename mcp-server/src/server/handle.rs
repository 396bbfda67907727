//! [`ServerHandle`]: what a running server is changed by.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::changes::Change;
use super::components::Components;
use super::registry::{Provided, Registry};
use crate::auth::Caller;
use crate::{Prompt, Resource, Result, Tool, types};

/// A running server, as far as it can be changed: components come and go, and clients that want to
/// hear of it are told. Cloning is cheap. Made by [`Server::handle`](crate::Server::handle) and
/// [`Context::server`](crate::Context::server).
///
/// A change is there for every request that begins after it, on all connections of this process.
///
/// # Examples
///
/// ```
/// use mcp_server::{Client, Context, Server, ToolError, tool};
///
/// /// Answers everything.
/// #[tool]
/// async fn answer() -> u8 {
///     42
/// }
///
/// /// Learns to answer.
/// #[tool]
/// async fn learn(cx: Context) -> Result<(), ToolError> {
///     cx.server().add_tool(answer)?;
///     Ok(())
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("Pupil").tool(learn).build()?;
/// let client = Client::connect(&server).await?;
/// client.call_tool::<()>("learn", ()).await?;
/// assert_eq!(client.list_tools().await?.len(), 2);
/// assert_eq!(server.handle().tools()[0].name, "answer");
/// assert!(server.handle().remove_tool("answer"));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct ServerHandle(Arc<Components>);

impl ServerHandle {
    pub(crate) const fn new(components: Arc<Components>) -> Self {
        Self(components)
    }

    /// Adds a tool.
    ///
    /// # Errors
    ///
    /// [`Error::Duplicate`](crate::Error::Duplicate) when there is one of its name and version,
    /// [`Error::InvalidComponent`](crate::Error::InvalidComponent) when its definition is broken,
    /// [`Error::MissingState`](crate::Error::MissingState) when it takes a state that nothing
    /// provides.
    pub fn add_tool(&self, tool: impl Tool) -> Result<()> {
        let tool = Arc::new(tool);
        self.add(Change::Tools, |registry, provided| {
            registry.add_tool(tool, provided)
        })
    }

    /// Removes a tool in all versions, and tells whether there was one. Its calls under way go on.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.remove(Change::Tools, |registry| registry.remove_tool(name, None))
    }

    /// Removes one version of a tool, and tells whether there was one.
    pub fn remove_tool_version(&self, name: &str, version: &str) -> bool {
        self.remove(Change::Tools, |registry| {
            registry.remove_tool(name, Some(version))
        })
    }

    /// Adds a resource, or a resource template.
    ///
    /// # Errors
    ///
    /// As [`add_tool`](Self::add_tool).
    pub fn add_resource(&self, resource: impl Resource) -> Result<()> {
        let resource = Arc::new(resource);
        self.add(Change::Resources, |registry, provided| {
            registry.add_resource(resource, provided)
        })
    }

    /// Removes the resource or the template of this URI in all versions, and tells whether there was one.
    pub fn remove_resource(&self, uri: &str) -> bool {
        self.remove(Change::Resources, |registry| {
            registry.remove_resource(uri, None)
        })
    }

    /// Removes one version of the resource or the template of this URI, and tells whether there was one.
    pub fn remove_resource_version(&self, uri: &str, version: &str) -> bool {
        self.remove(Change::Resources, |registry| {
            registry.remove_resource(uri, Some(version))
        })
    }

    /// Adds a prompt.
    ///
    /// # Errors
    ///
    /// As [`add_tool`](Self::add_tool).
    pub fn add_prompt(&self, prompt: impl Prompt) -> Result<()> {
        let prompt = Arc::new(prompt);
        self.add(Change::Prompts, |registry, provided| {
            registry.add_prompt(prompt, provided)
        })
    }

    /// Removes a prompt in all versions, and tells whether there was one.
    pub fn remove_prompt(&self, name: &str) -> bool {
        self.remove(Change::Prompts, |registry| {
            registry.remove_prompt(name, None)
        })
    }

    /// Removes one version of a prompt, and tells whether there was one.
    pub fn remove_prompt_version(&self, name: &str, version: &str) -> bool {
        self.remove(Change::Prompts, |registry| {
            registry.remove_prompt(name, Some(version))
        })
    }

    /// Hides a tool from clients in all versions, until it is enabled.
    ///
    /// It is so on all instances of the server that share the store, now and after a restart. This
    /// one knows at once, the others within 2 seconds. The tool need not be there yet.
    ///
    /// # Errors
    ///
    /// [`Error::NotStarted`](crate::Error::NotStarted) before the server has started,
    /// [`Error::Store`](crate::Error::Store) when the store fails.
    pub async fn disable_tool(&self, name: &str) -> Result<()> {
        self.0.switch(|it| switch(&mut it.tools, name, true)).await
    }

    /// Shows a disabled tool to clients again; see [`disable_tool`](Self::disable_tool).
    ///
    /// # Errors
    ///
    /// As [`disable_tool`](Self::disable_tool).
    pub async fn enable_tool(&self, name: &str) -> Result<()> {
        self.0.switch(|it| switch(&mut it.tools, name, false)).await
    }

    /// Hides the resource or the template of this URI from clients; else as
    /// [`disable_tool`](Self::disable_tool).
    ///
    /// # Errors
    ///
    /// As [`disable_tool`](Self::disable_tool).
    pub async fn disable_resource(&self, uri: &str) -> Result<()> {
        self.0
            .switch(|it| switch(&mut it.resources, uri, true))
            .await
    }

    /// Shows a disabled resource or template to clients again.
    ///
    /// # Errors
    ///
    /// As [`disable_tool`](Self::disable_tool).
    pub async fn enable_resource(&self, uri: &str) -> Result<()> {
        self.0
            .switch(|it| switch(&mut it.resources, uri, false))
            .await
    }

    /// Hides a prompt from clients; else as [`disable_tool`](Self::disable_tool).
    ///
    /// # Errors
    ///
    /// As [`disable_tool`](Self::disable_tool).
    pub async fn disable_prompt(&self, name: &str) -> Result<()> {
        self.0
            .switch(|it| switch(&mut it.prompts, name, true))
            .await
    }

    /// Shows a disabled prompt to clients again.
    ///
    /// # Errors
    ///
    /// As [`disable_tool`](Self::disable_tool).
    pub async fn enable_prompt(&self, name: &str) -> Result<()> {
        self.0
            .switch(|it| switch(&mut it.prompts, name, false))
            .await
    }

    /// Returns the tools, as clients see them that have all scopes, in the order of their names.
    #[must_use]
    pub fn tools(&self) -> Vec<types::Tool> {
        self.0
            .current()
            .list_tools(None, usize::MAX, &Caller::Local)
            .items
    }

    /// Returns the resources that are not templates, as clients see them, in the order of their
    /// URIs.
    #[must_use]
    pub fn resources(&self) -> Vec<types::Resource> {
        self.0
            .current()
            .list_resources(None, usize::MAX, &Caller::Local)
            .items
    }

    /// Returns the resource templates, as clients see them, in the order in which they are tried.
    #[must_use]
    pub fn resource_templates(&self) -> Vec<types::ResourceTemplate> {
        self.0
            .current()
            .list_templates(None, usize::MAX, &Caller::Local)
            .items
    }

    /// Returns the prompts, as clients see them, in the order of their names.
    #[must_use]
    pub fn prompts(&self) -> Vec<types::Prompt> {
        self.0
            .current()
            .list_prompts(None, usize::MAX, &Caller::Local)
            .items
    }

    /// Tells the clients that have subscribed to `uri` that what is read there has changed: those of
    /// this instance at once, those of others that share the store within 2 seconds.
    pub fn resource_updated(&self, uri: &str) {
        Components::content_changed(&self.0, uri);
    }

    pub(crate) fn components(&self) -> &Components {
        &self.0
    }

    pub(crate) const fn shared_components(&self) -> &Arc<Components> {
        &self.0
    }

    fn add(
        &self,
        change: Change,
        add: impl FnOnce(&mut Registry, &Provided) -> Result<()>,
    ) -> Result<()> {
        let edit = |registry: &mut Registry, provided: &Provided| {
            add(registry, provided)?;
            Ok(true)
        };
        self.0.edit(change, edit).map(drop)
    }

    fn remove(&self, change: Change, remove: impl FnOnce(&mut Registry) -> bool) -> bool {
        let removed = self.0.edit(change, |registry, _| Ok(remove(registry)));
        removed.is_ok_and(|removed| removed)
    }
}

fn switch(names: &mut BTreeSet<String>, name: &str, disabled: bool) {
    if disabled {
        names.insert(name.to_owned());
    } else {
        names.remove(name);
    }
}

#[cfg(test)]
impl ServerHandle {
    /// Makes the handle of a server without components.
    pub(crate) fn of_nothing() -> Self {
        let components =
            Components::new(Registry::default(), Default::default(), Box::new(|_| true));
        Self(Arc::new(components))
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle").finish_non_exhaustive()
    }
}
