//! [`Authorization`]: who sees and uses which components.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::around::by_method;
use super::params::{
    Answer, AnyParams, ListPrompts, ListResourceTemplates, ListResources, ListTools, OtherRequest,
};
use super::{CallError, Message, Middleware, Next};
use crate::component::tags_of;
use crate::server::{Selection, insufficient_scope, quoted};
use crate::types::{
    CallToolRequestParams, CallToolResponse, ErrorCode, GetPromptRequestParams, GetPromptResponse,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    MetaObject, ReadResourceRequestParams, ReadResourceResponse, Reference,
};
use crate::version::Wanted;
use crate::{Context, Principal};

/// The error code of a caller that may not do what it asks for.
const FORBIDDEN: ErrorCode = ErrorCode(-32003);

type Check = Arc<dyn Fn(&Access<'_>) -> bool + Send + Sync>;

/// A component that a caller wants to see or to use, for [`Authorization::check`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Access<'a> {
    /// The caller; `None` for an anonymous one.
    pub principal: Option<&'a Principal>,
    /// The name of the tool or prompt, the URI of the resource or template.
    pub name: &'a str,
    /// The labels of the component.
    pub tags: &'a BTreeSet<String>,
}

/// Shows callers the components that they may use, and refuses the others.
///
/// It does for many components what `scopes(..)` at one does for that: lists leave out what the caller
/// may not use, and a call of it is refused with the JSON-RPC error -32003, which names all the scopes
/// that are needed. The one local user of stdio, of an in-memory connection or of a loopback
/// listener without authentication may use everything.
///
/// # Examples
///
/// ```
/// use mcp_server::Server;
/// use mcp_server::middleware::Authorization;
///
/// let authorization = Authorization::new()
///     .require_scopes(["use"])
///     .restrict_tag("admin", ["admin"])
///     .check(|access| {
///         !access.tags.contains("staff")
///             || access.principal.is_some_and(|it| it.issuer == "https://id.example")
///     });
/// let server = Server::builder("Guarded").middleware(authorization).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Authorization {
    scopes: BTreeSet<String>,
    tags: BTreeMap<String, BTreeSet<String>>,
    checks: Vec<Check>,
}

impl Authorization {
    /// Lets all callers use everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets only callers that have all these OAuth scopes use anything.
    #[must_use]
    pub fn require_scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Lets only callers that have all these OAuth scopes use what has this tag.
    #[must_use]
    pub fn restrict_tag(
        mut self,
        tag: impl Into<String>,
        scopes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let needed = self.tags.entry(tag.into()).or_default();
        needed.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Lets callers use only what this is true of, too.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Access<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Returns the scopes that a component with these tags needs.
    fn needed(&self, tags: &BTreeSet<String>) -> BTreeSet<String> {
        let of_tags = tags.iter().filter_map(|tag| self.tags.get(tag)).flatten();
        self.scopes.iter().chain(of_tags).cloned().collect()
    }

    fn passes_checks(&self, cx: &Context, name: &str, tags: &BTreeSet<String>) -> bool {
        let access = Access {
            principal: cx.principal(),
            name,
            tags,
        };
        cx.caller().is_local() || self.checks.iter().all(|check| check(&access))
    }

    fn shows(&self, cx: &Context, name: &str, meta: Option<&MetaObject>) -> bool {
        let tags = tags_of(meta);
        cx.caller().may(&self.needed(&tags)) && self.passes_checks(cx, name, &tags)
    }

    /// Refuses a component that the caller may not use; `own` are the scopes that it needs by itself.
    fn gate(
        &self,
        cx: &Context,
        name: &str,
        tags: &BTreeSet<String>,
        own: &BTreeSet<String>,
    ) -> Result<(), CallError> {
        let mut needed = self.needed(tags);
        if !cx.caller().may(&needed) {
            needed.extend(own.iter().cloned());
            return Err(insufficient_scope(name, &needed).into());
        }
        if self.passes_checks(cx, name, tags) {
            return Ok(());
        }
        let message = format!("{} is not for this caller", quoted(name));
        Err(CallError::new(FORBIDDEN, message))
    }

    /// What is not there, or not in that version, is refused further on.
    fn gate_tool(&self, cx: &Context, name: &str) -> Result<(), CallError> {
        let wanted = wanted(cx);
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        match cx.server().components().tool(name, selection) {
            Some(tool) => self.gate(cx, name, &tool.tags, &tool.scopes),
            None => Ok(()),
        }
    }

    fn gate_resource(&self, cx: &Context, uri: &str) -> Result<(), CallError> {
        let wanted = wanted(cx);
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        match cx.server().components().resource(uri, selection) {
            Some(found) => self.gate(cx, uri, &found.tags, &found.scopes),
            None => Ok(()),
        }
    }

    fn gate_prompt(&self, cx: &Context, name: &str) -> Result<(), CallError> {
        let wanted = wanted(cx);
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        match cx.server().components().prompt(name, selection) {
            Some(prompt) => self.gate(cx, name, &prompt.tags, &prompt.scopes),
            None => Ok(()),
        }
    }
}

/// Returns the version that a message asks for. A malformed one is refused further on.
fn wanted(cx: &Context) -> Option<Wanted> {
    Wanted::of(cx.request_meta()?).ok().flatten()
}

impl Middleware for Authorization {
    async fn on_request(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        let cx = message.cx();
        match &message.params {
            AnyParams::Other(OtherRequest::Complete(params)) => match &params.r#ref {
                Reference::Prompt(prompt) => self.gate_prompt(cx, &prompt.name)?,
                Reference::Resource(resource) => self.gate_resource(cx, &resource.uri)?,
                _ => {}
            },
            AnyParams::Other(OtherRequest::Subscribe(params)) => {
                self.gate_resource(cx, &params.uri)?;
            }
            _ => {}
        }
        by_method(self, message, next).await
    }

    async fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        self.gate_tool(message.cx(), &message.params.name)?;
        next.run(message).await
    }

    async fn on_read_resource(
        &self,
        message: Message<ReadResourceRequestParams>,
        next: Next,
    ) -> Result<ReadResourceResponse, CallError> {
        self.gate_resource(message.cx(), &message.params.uri)?;
        next.run(message).await
    }

    async fn on_get_prompt(
        &self,
        message: Message<GetPromptRequestParams>,
        next: Next,
    ) -> Result<GetPromptResponse, CallError> {
        self.gate_prompt(message.cx(), &message.params.name)?;
        next.run(message).await
    }

    async fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> Result<ListToolsResult, CallError> {
        let cx = message.cx().clone();
        let mut list = next.run(message).await?;
        list.tools
            .retain(|tool| self.shows(&cx, &tool.name, tool.meta.as_ref()));
        Ok(list)
    }

    async fn on_list_resources(
        &self,
        message: Message<ListResources>,
        next: Next,
    ) -> Result<ListResourcesResult, CallError> {
        let cx = message.cx().clone();
        let mut list = next.run(message).await?;
        list.resources
            .retain(|resource| self.shows(&cx, &resource.uri, resource.meta.as_ref()));
        Ok(list)
    }

    async fn on_list_resource_templates(
        &self,
        message: Message<ListResourceTemplates>,
        next: Next,
    ) -> Result<ListResourceTemplatesResult, CallError> {
        let cx = message.cx().clone();
        let mut list = next.run(message).await?;
        list.resource_templates
            .retain(|it| self.shows(&cx, &it.uri_template, it.meta.as_ref()));
        Ok(list)
    }

    async fn on_list_prompts(
        &self,
        message: Message<ListPrompts>,
        next: Next,
    ) -> Result<ListPromptsResult, CallError> {
        let cx = message.cx().clone();
        let mut list = next.run(message).await?;
        list.prompts
            .retain(|prompt| self.shows(&cx, &prompt.name, prompt.meta.as_ref()));
        Ok(list)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("scopes", &self.scopes)
            .field("tags", &self.tags)
            .field("checks", &self.checks.len())
            .finish()
    }
}
