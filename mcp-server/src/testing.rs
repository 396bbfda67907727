//! [`TestClient`]: a real client in the same process, for tests of a server, and [`User`], who answers
//! its questions.
#![expect(
    deprecated,
    reason = "sampling, roots and logging work until the protocol drops them (SEP-2577)"
)]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, NotificationContext,
    RequestContext, RunningService, ServiceError, serve_server_with_ct,
};
use rmcp::{ClientHandler, ErrorData, RoleClient};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::server::Adapter;
use crate::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    ClientConfig, CreateMessageRequestParams, CreateMessageResult, DetailedTask,
    ElicitRequestParams, ElicitResult, GetPromptRequestParams, GetPromptResult, GetTaskParams,
    Implementation, InputResponses, JsonObject, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, Prompt, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResult, RequestMetaObject, Resource, ResourceTemplate, Root, TASKS_EXTENSION_ID,
    Tool, UpdateTaskParams,
};
use crate::{Error, LogLevel, Progress, Result};

/// How many bytes wait between the two ends.
const PIPE_BYTES: usize = 64 * 1024;

/// A client of a server in the same process: real messages, no network.
///
/// Made by [`Server::test_client`](crate::Server::test_client). It speaks protocol 2026-07-28 and
/// is one local connection, with a session of its own. Dropping it closes the connection.
pub struct TestClient {
    client: RunningService<RoleClient, User>,
}

impl TestClient {
    pub(crate) async fn connect(
        adapter: Adapter,
        user: User,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(async move {
            if let Ok(service) = serve_server_with_ct(adapter, theirs, stopping).await {
                let _ = service.waiting().await;
            }
        });
        let lifecycle = if user.handshake {
            ClientLifecycleMode::Initialize
        } else {
            ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            }
        };
        let client = user.serve_with_lifecycle(ours, lifecycle).await;
        let client = client.map_err(|error| {
            let source = Box::<ClientInitializeError>::new(error);
            Error::Transport {
                transport: "in-memory",
                source,
            }
        })?;
        Ok(Self { client })
    }

    /// Returns what the server has told the client since the last time, in order.
    #[must_use]
    pub fn take_heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.client.service().heard())
    }

    /// Calls a tool with `arguments`, a JSON object or `null` for none. A tool that fails is no
    /// error here: look at `is_error`.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request, as for an unknown tool.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<CallToolResult, TestError> {
        let mut params = CallToolRequestParams::new(name.to_owned());
        params.arguments = object(arguments);
        params.meta = Some(self.client.service().meta());
        Ok(self.client.call_tool(params).await?)
    }

    /// Makes one step of a tool call: it may end with questions, which are not answered here.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request.
    pub async fn call_tool_once(
        &self,
        params: CallToolRequestParams,
    ) -> Result<CallToolResponse, TestError> {
        Ok(self.client.call_tool_once(params).await?)
    }

    /// Asks how a task is.
    ///
    /// # Errors
    ///
    /// [`TestError`] when there is no such task of this caller.
    pub async fn get_task(&self, id: &str) -> Result<DetailedTask, TestError> {
        Ok(self.client.get_task(GetTaskParams::new(id)).await?.task)
    }

    /// Answers open questions of a task, by their keys.
    ///
    /// # Errors
    ///
    /// [`TestError`] when there is no such task of this caller.
    pub async fn update_task(&self, id: &str, answers: InputResponses) -> Result<(), TestError> {
        let params = UpdateTaskParams::new(id, answers);
        Ok(self.client.update_task(params).await?)
    }

    /// Cancels a task.
    ///
    /// # Errors
    ///
    /// [`TestError`] when there is no such task of this caller.
    pub async fn cancel_task(&self, id: &str) -> Result<(), TestError> {
        Ok(self.client.cancel_task(CancelTaskParams::new(id)).await?)
    }

    /// Lists the tools.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request.
    pub async fn list_tools(&self) -> Result<Vec<Tool>, TestError> {
        Ok(self.client.list_all_tools().await?)
    }

    /// Reads a resource.
    ///
    /// # Errors
    ///
    /// [`TestError`] when there is no such resource, or it fails.
    pub async fn read_resource(&self, uri: &str) -> Result<ReadResourceResult, TestError> {
        Ok(self
            .client
            .read_resource(ReadResourceRequestParams::new(uri))
            .await?)
    }

    /// Lists the resources that are not templates.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request.
    pub async fn list_resources(&self) -> Result<Vec<Resource>, TestError> {
        Ok(self.client.list_all_resources().await?)
    }

    /// Lists the resource templates.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request.
    pub async fn list_resource_templates(&self) -> Result<Vec<ResourceTemplate>, TestError> {
        Ok(self.client.list_all_resource_templates().await?)
    }

    /// Renders a prompt with `arguments`, a JSON object of strings or `null` for none.
    ///
    /// # Errors
    ///
    /// [`TestError`] when there is no such prompt, or it fails.
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: Value,
    ) -> Result<GetPromptResult, TestError> {
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = object(arguments);
        Ok(self.client.get_prompt(params).await?)
    }

    /// Lists the prompts.
    ///
    /// # Errors
    ///
    /// [`TestError`] when the server refuses the request.
    pub async fn list_prompts(&self) -> Result<Vec<Prompt>, TestError> {
        Ok(self.client.list_all_prompts().await?)
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient").finish_non_exhaustive()
    }
}

/// The user of a [`TestClient`]: who answers its server's questions, and what it wants to hear.
///
/// It declares to the server what it can be asked, and nothing else.
///
/// # Examples
///
/// ```
/// use mcp_server::testing::User;
/// use mcp_server::types::{ElicitResult, ElicitationAction};
/// use serde_json::json;
///
/// let user = User::new().elicits(|_question| {
///     ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "name": "Ada" }))
/// });
/// ```
#[derive(Default)]
pub struct User {
    handshake: bool,
    tasks: bool,
    level: Option<LogLevel>,
    elicit: Option<Answer<ElicitRequestParams, ElicitResult>>,
    sample: Option<Answer<CreateMessageRequestParams, CreateMessageResult>>,
    roots: Option<Vec<Root>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

type Answer<Q, A> = Box<dyn Fn(Q) -> A + Send + Sync>;

/// What a server told a [`TestClient`] during a call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Heard {
    /// A message, and how grave it is.
    Message(LogLevel, Value),
    /// How far the call is.
    Progress(Progress),
}

impl User {
    /// Makes a user that cannot be asked anything, on a connection of protocol 2026-07-28.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects by the handshake of protocol 2025-11-25.
    #[must_use]
    pub fn with_handshake(mut self) -> Self {
        self.handshake = true;
        self
    }

    /// Takes calls that become tasks. Default: it waits for every answer.
    #[must_use]
    pub fn takes_tasks(mut self) -> Self {
        self.tasks = true;
        self
    }

    /// Wants to hear the messages of this level and above. Default: none on a stateless connection.
    #[must_use]
    pub fn hears(mut self, level: LogLevel) -> Self {
        self.level = Some(level);
        self
    }

    /// Answers [`Context::elicit`](crate::Context::elicit) and `elicit_url`.
    #[must_use]
    pub fn elicits(
        mut self,
        answer: impl Fn(ElicitRequestParams) -> ElicitResult + Send + Sync + 'static,
    ) -> Self {
        self.elicit = Some(Box::new(answer));
        self
    }

    /// Answers [`Context::sample`](crate::Context::sample), as the client's model.
    #[must_use]
    pub fn samples(
        mut self,
        answer: impl Fn(CreateMessageRequestParams) -> CreateMessageResult + Send + Sync + 'static,
    ) -> Self {
        self.sample = Some(Box::new(answer));
        self
    }

    /// Answers [`Context::list_roots`](crate::Context::list_roots).
    #[must_use]
    pub fn with_roots(mut self, roots: Vec<Root>) -> Self {
        self.roots = Some(roots);
        self
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Vec<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what each call says of itself.
    fn meta(&self) -> RequestMetaObject {
        let mut meta = RequestMetaObject::new();
        if let Some(level) = self.level {
            meta.set_log_level(level.to_wire());
        }
        meta
    }
}

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.elicit.is_some() {
            let both = serde_json::json!({ "form": {}, "url": {} });
            capabilities.elicitation = serde_json::from_value(both).ok();
        }
        if self.sample.is_some() {
            let with_tools = serde_json::json!({ "tools": {} });
            capabilities.sampling = serde_json::from_value(with_tools).ok();
        }
        if self.roots.is_some() {
            capabilities.roots = Some(Default::default());
        }
        if self.tasks {
            let extensions = capabilities.extensions.get_or_insert_default();
            extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        let name = Implementation::new("test-client", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, name)
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let answer = self.elicit.as_ref().ok_or_else(undeclared)?;
        Ok(answer(question))
    }

    async fn create_message(
        &self,
        question: CreateMessageRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let answer = self.sample.as_ref().ok_or_else(undeclared)?;
        Ok(answer(question))
    }

    async fn list_roots(
        &self,
        _cx: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        let roots = self.roots.clone().ok_or_else(undeclared)?;
        Ok(ListRootsResult::new(roots))
    }

    async fn on_progress(
        &self,
        report: ProgressNotificationParam,
        _cx: NotificationContext<RoleClient>,
    ) {
        let mut progress = Progress::new(report.progress);
        progress.total = report.total;
        progress.message = report.message;
        self.heard().push(Heard::Progress(progress));
    }

    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _cx: NotificationContext<RoleClient>,
    ) {
        let heard = Heard::Message(message.level.into(), message.data);
        self.heard().push(heard);
    }
}

fn undeclared() -> ErrorData {
    ErrorData::invalid_request(
        "this client has not declared that it can be asked this",
        None,
    )
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

/// Why a server refused a request of a [`TestClient`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct TestError {
    /// The JSON-RPC error code; `None` when the connection failed.
    pub code: Option<i32>,
    /// What the server says.
    pub message: String,
    /// What the server says beyond that.
    pub data: Option<Value>,
}

impl From<ServiceError> for TestError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self {
                code: Some(error.code.0),
                message: error.message.into_owned(),
                data: error.data,
            },
            error => Self {
                code: None,
                message: error.to_string(),
                data: None,
            },
        }
    }
}

fn object(arguments: Value) -> Option<JsonObject> {
    match arguments {
        Value::Object(arguments) => Some(arguments),
        _ => None,
    }
}
