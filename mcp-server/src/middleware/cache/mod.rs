//! [`ResponseCaching`]: the answer of a call before, where it is as good.

mod cacheable;
mod engine;
mod flight;
mod invalidation;
mod key;
mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kv_core::Store;

pub(crate) use self::engine::Cache;
use self::engine::{Plan, Settings, Subject};
pub use self::invalidation::CacheHandle;
pub use self::statistics::{CacheStatistics, CachedMethod, MethodStatistics};
use super::{
    CallError, ListPrompts, ListResourceTemplates, ListResources, ListTools, Message, Middleware,
    Next,
};
use crate::ServerHandle;
use crate::server::{RegisteredTool, Selection};
use crate::types::{
    CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    ReadResourceRequestParams, ReadResourceResponse,
};
use crate::version::Wanted;

/// Answers from the store what was answered before.
///
/// # What is cached
///
/// | what | for how long | |
/// | --- | --- | --- |
/// | calls of tools | 1 hour | of tools that are annotated as `read_only`, and of those that say so by `#[tool(cache = ..)]` |
/// | reads of resources, prompts | 1 hour | |
/// | lists | 5 minutes | pages that are empty too |
///
/// Each [method](CachedMethod) has its own [time](Self::ttl) and can be [left out](Self::without).
/// Errors, questions to the client and tasks are never cached, and neither is what a tool has made
/// of its session, its request's headers, what the client says of itself or answers: that is noticed
/// by what it asks its [`Context`](crate::Context) for.
///
/// # Whose it is
///
/// A caller gets what was made for the same caller with the same scopes; that is also the case on
/// another connection, with another token, and on another instance of the server that has the same
/// store and is of the same name and version. All who are anonymous are one. [`by`](Self::by) has it
/// otherwise.
///
/// Of equal calls at the same time one is made, on all instances that share the store, and the others
/// wait for its answer, an error too. It goes on when its client leaves.
///
/// # What ends it
///
/// Its time; [`CacheHandle`], by tool, tag, caller, resource or altogether; for a resource,
/// [`resource_updated`](ServerHandle::resource_updated); for lists, a change of any component. It
/// holds on this instance at once, on others that share the server's store within 2 seconds.
///
/// Clients of protocol 2026-07-28 are told for how long they may keep what they have read. For lists
/// [`list_cache`](crate::ServerBuilder::list_cache) does that.
///
/// Middleware that is added after this one, and that of single tools, does not see what is answered
/// from the cache.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use mcp_server::middleware::{CachedMethod, ResponseCaching};
/// use mcp_server::{Client, Server, tool};
///
/// /// Looks the weather up.
/// #[tool(annotations(read_only))]
/// async fn weather(city: String) -> String {
///     format!("It rains in {city}.")
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let caching = ResponseCaching::new().ttl(CachedMethod::CallTool, Duration::from_secs(60));
/// let cache = caching.handle();
/// let server = Server::builder("Weather").middleware(caching).tool(weather).build()?;
/// let client = Client::connect(&server).await?;
/// for _ in 0..3 {
///     let city = serde_json::json!({ "city": "Ghent" });
///     client.call_tool::<String>("weather", city).await?;
/// }
/// assert_eq!(cache.statistics().of(CachedMethod::CallTool).hits, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ResponseCaching {
    ttls: BTreeMap<CachedMethod, Duration>,
    only: Option<BTreeSet<String>>,
    except: BTreeSet<String>,
    all_tools: bool,
    settings: Settings,
    cache: Arc<Cache>,
}

impl ResponseCaching {
    /// Caches what can be cached.
    #[must_use]
    pub fn new() -> Self {
        let ttls = CachedMethod::ALL.map(|method| (method, method.default_ttl()));
        Self {
            ttls: ttls.into(),
            only: None,
            except: BTreeSet::new(),
            all_tools: false,
            settings: Settings::default(),
            cache: Arc::default(),
        }
    }

    /// Sets for how long answers of a method are good. Default: 5 minutes for lists, else 1 hour.
    ///
    /// # Panics
    ///
    /// When it is zero; [`without`](Self::without) is for that.
    #[must_use]
    pub fn ttl(mut self, method: CachedMethod, ttl: Duration) -> Self {
        assert!(!ttl.is_zero(), "what is good for no time is not cached");
        self.ttls.insert(method, ttl);
        self
    }

    /// Does not cache a method. Default: all are cached.
    #[must_use]
    pub fn without(mut self, method: CachedMethod) -> Self {
        self.ttls.remove(&method);
        self
    }

    /// Sets whose calls are cached: those of these tools. Default: of those that are annotated as
    /// `read_only`, or say for how long.
    #[must_use]
    pub fn only_tools(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Does not cache the calls of these tools. Default: none is left out.
    #[must_use]
    pub fn except_tools(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.except.extend(names.into_iter().map(Into::into));
        self
    }

    /// Caches the calls of all tools, as Python's FastMCP does: a second call with the same arguments
    /// then does nothing. Default: those of tools that are annotated as `read_only`, or say for how
    /// long.
    #[must_use]
    pub const fn all_tools(mut self) -> Self {
        self.all_tools = true;
        self
    }

    /// Sets the size in the store above which an answer is not cached, in bytes. Default: 1 MiB.
    #[must_use]
    pub const fn max_item_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_item_bytes = bytes;
        self
    }

    /// Sets for how long after its time an answer is still given, while a new one is made in the
    /// background. Default: not at all.
    #[must_use]
    pub const fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.settings.stale = time;
        self
    }

    /// Sets who gets the same answers: those whose messages have the same key. Default: the same
    /// caller with the same scopes. With a key that all have, each gets what was made for any.
    #[must_use]
    pub fn by<T>(mut self, key: T) -> Self
    where
        T: Fn(&crate::Context) -> String + Send + Sync + 'static,
    {
        self.settings.partition = Some(Arc::new(key));
        self
    }

    /// Sets the store. Default: the server's.
    #[must_use]
    pub fn storage(mut self, store: impl Store) -> Self {
        self.settings.store = Some(Arc::new(store));
        self
    }

    /// Returns what answers are taken out of the cache by, and how often they were found.
    #[must_use]
    pub fn handle(&self) -> CacheHandle {
        CacheHandle::new(Arc::clone(&self.cache))
    }

    /// Returns for how long results of a tool are good; `None` when they are not cached.
    fn ttl_of(&self, tool: &RegisteredTool, name: &str) -> Option<Duration> {
        let default = *self.ttls.get(&CachedMethod::CallTool)?;
        if self.except.contains(name) || tool.details.task.is_some() {
            return None;
        }
        if let Some(only) = &self.only {
            let ttl = tool.details.cache.unwrap_or(default);
            return (only.contains(name) && !ttl.is_zero()).then_some(ttl);
        }
        if let Some(ttl) = tool.details.cache {
            return (!ttl.is_zero()).then_some(ttl);
        }
        let hints = tool.wire.annotations.as_ref();
        let is_read_only = hints.is_some_and(|hints| hints.read_only_hint == Some(true));
        (self.all_tools || is_read_only).then_some(default)
    }

    /// Returns how a call of a tool is cached; `None` when it is not.
    fn plan_call(&self, message: &Message<CallToolRequestParams>) -> Option<Plan> {
        let (params, cx) = (&message.params, message.cx());
        if params.input_responses.is_some() || params.request_state.is_some() {
            return None;
        }
        let wanted = wanted(message)?;
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        let tool = cx.server().components().tool(&params.name, selection)?;
        if !cx.caller().may(&tool.scopes) {
            return None;
        }
        let ttl = self.ttl_of(&tool, &params.name)?;
        let mut plan = Plan::new(CachedMethod::CallTool, ttl, wanted);
        plan.subject = Subject::Tool(params.name.to_string(), tool);
        Some(plan)
    }

    fn plan_read(&self, message: &Message<ReadResourceRequestParams>) -> Option<Plan> {
        let (params, cx) = (&message.params, message.cx());
        let ttl = *self.ttls.get(&CachedMethod::ReadResource)?;
        if params.input_responses.is_some() || params.request_state.is_some() {
            return None;
        }
        let wanted = wanted(message)?;
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        let found = cx.server().components().resource(&params.uri, selection)?;
        if !cx.caller().may(&found.scopes) {
            return None;
        }
        let mut plan = Plan::new(CachedMethod::ReadResource, ttl, wanted);
        plan.subject = Subject::Resource(params.uri.clone());
        Some(plan)
    }

    fn plan_prompt(&self, message: &Message<GetPromptRequestParams>) -> Option<Plan> {
        let (params, cx) = (&message.params, message.cx());
        let ttl = *self.ttls.get(&CachedMethod::GetPrompt)?;
        if params.input_responses.is_some() || params.request_state.is_some() {
            return None;
        }
        let wanted = wanted(message)?;
        let selection = Selection::new(wanted.as_ref(), cx.caller());
        let prompt = cx.server().components().prompt(&params.name, selection)?;
        if !cx.caller().may(&prompt.scopes) {
            return None;
        }
        Some(Plan::new(CachedMethod::GetPrompt, ttl, wanted))
    }

    fn plan_list<T>(&self, message: &Message<T>, method: CachedMethod) -> Option<Plan> {
        let ttl = *self.ttls.get(&method)?;
        let mut plan = Plan::new(method, ttl, None);
        // Another set of components has other lists, and older clients read other lists.
        let registry = message.cx().server().components().current();
        plan.of = format!("{} {}", registry.fingerprint(), message.cx().is_stateless());
        Some(plan)
    }
}

/// Returns the version that a message asks for; `None` when that cannot be told.
#[expect(
    clippy::option_option,
    reason = "no version is one answer, a bad one is another"
)]
fn wanted<T>(message: &Message<T>) -> Option<Option<Wanted>> {
    match message.cx().request_meta() {
        Some(meta) => Wanted::of(meta).ok(),
        None => Some(None),
    }
}

impl Default for ResponseCaching {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ResponseCaching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseCaching")
            .field("ttls", &self.ttls)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

macro_rules! hooks {
    ($($hook:ident($params:ty) -> $answer:ident by $plan:expr,)*) => {
        impl Middleware for ResponseCaching {
            fn on_build(&self, server: &ServerHandle) {
                self.cache.belong_to(server);
            }

            $(async fn $hook(
                &self,
                message: Message<$params>,
                next: Next,
            ) -> Result<$answer, CallError> {
                let plan: fn(&Self, &Message<$params>) -> Option<Plan> = $plan;
                match plan(self, &message) {
                    None => next.run(message).await,
                    Some(plan) => self.cache.answer(&self.settings, plan, message, next).await,
                }
            })*
        }
    };
}

hooks!(
    on_call_tool(CallToolRequestParams) -> CallToolResponse by Self::plan_call,
    on_read_resource(ReadResourceRequestParams) -> ReadResourceResponse by Self::plan_read,
    on_get_prompt(GetPromptRequestParams) -> GetPromptResponse by Self::plan_prompt,
    on_list_tools(ListTools) -> ListToolsResult by |caching, message| {
        caching.plan_list(message, CachedMethod::ListTools)
    },
    on_list_resources(ListResources) -> ListResourcesResult by |caching, message| {
        caching.plan_list(message, CachedMethod::ListResources)
    },
    on_list_resource_templates(ListResourceTemplates) -> ListResourceTemplatesResult
        by |caching, message| caching.plan_list(message, CachedMethod::ListResourceTemplates),
    on_list_prompts(ListPrompts) -> ListPromptsResult by |caching, message| {
        caching.plan_list(message, CachedMethod::ListPrompts)
    },
);
