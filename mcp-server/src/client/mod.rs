//! [`Client`]: a client of MCP servers, for tests, examples, and programs that use other servers.

mod builder;
mod config;
mod error;
mod handlers;
mod target;
mod versioned;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rmcp::RoleClient;
use rmcp::service::{RunningService, ServiceError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::builder::{ClientBuilder, ClientMode};
pub use self::config::McpConfig;
pub use self::error::ClientError;
use self::handlers::Handlers;
pub use self::handlers::LogMessage;
pub use self::target::Target;
pub use self::versioned::AtVersion;
use crate::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestParams, CompletionInfo, DetailedTask, GetPromptRequestParams, GetPromptResult,
    GetTaskParams, InputResponses, JsonObject, Prompt, ReadResourceRequestParams,
    ReadResourceResult, Resource, ResourceTemplate, ServerPeerInfo, TaskPayload, Tool,
    UpdateTaskParams,
};

type Result<T, E = ClientError> = std::result::Result<T, E>;

/// How often a task is asked for that does not say how often it wants to be.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often one call may ask.
const MAX_ROUNDS: usize = 10;

/// A connection to an MCP server: in this process, at a URL, or in a process of its own.
///
/// [`connect`](Self::connect) is enough for a server that asks nothing; [`builder`](Self::builder)
/// sets who answers its questions, what is heard of a call under way, and how long a call may take.
/// A call that is dropped is cancelled at the server. A dropped client closes its connection and
/// ends the process it has started; [`close`](Self::close) waits until that is done.
///
/// # Examples
///
/// A server's own test:
///
/// ```
/// use mcp_server::client::Client;
/// use mcp_server::{Server, tool};
/// use serde_json::json;
///
/// #[tool]
/// async fn add(a: i64, b: i64) -> i64 {
///     a + b
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder("Calculator").tool(add).build()?;
/// let client = Client::connect(&server).await?;
/// let sum: i64 = client.call_tool("add", json!({ "a": 1, "b": 2 })).await?;
/// assert_eq!(sum, 3);
/// # Ok(())
/// # }
/// ```
///
/// Others' servers:
///
/// ```no_run
/// use mcp_server::client::{Client, McpConfig};
/// use tokio::process::Command;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let remote = Client::connect("https://example.com/mcp").await?;
/// let local = Client::connect(Command::new("weather-server")).await?;
/// let configured = Client::connect(McpConfig::read("mcp.json")?.server("weather")?).await?;
/// # Ok(())
/// # }
/// ```
pub struct Client {
    running: RunningService<RoleClient, Handlers>,
    server: Arc<ServerPeerInfo>,
    timeout: Option<Duration>,
}

impl Client {
    /// Starts setting up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Connects to `target`, by the newest protocol that it speaks. See [`Target`] for what that
    /// can be.
    ///
    /// # Errors
    ///
    /// [`ClientError::Target`] when it cannot be a server, [`ClientError::Connect`] when it does not
    /// answer as one, [`ClientError::Timeout`] when it does not answer within 60 seconds,
    /// [`ClientError::Server`] when a server of this process does not start.
    pub async fn connect(target: impl Into<Target>) -> Result<Self> {
        Self::builder().connect(target).await
    }

    /// Returns what the server says of itself: its name, protocol, capabilities and instructions.
    #[must_use]
    pub fn server(&self) -> &ServerPeerInfo {
        &self.server
    }

    /// Calls a tool with arguments that become a JSON object, and returns its result: the structured
    /// one if there is one, else its text, or what the text is the JSON of.
    ///
    /// Questions of the tool are answered by the client's handlers. Where the client
    /// [takes tasks](ClientBuilder::tasks), it waits for the end of the task that a call becomes.
    ///
    /// # Errors
    ///
    /// [`ClientError::Tool`] with what the tool says when it fails, [`ClientError::Decode`] when the
    /// result is no `T`, else as [`call_tool_result`](Self::call_tool_result).
    pub async fn call_tool<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<T> {
        value_of(&self.call_tool_result(name, arguments).await?)
    }

    /// Calls a tool, and returns its result as it comes: a tool that fails is no error here, but
    /// has `is_error` set.
    ///
    /// # Errors
    ///
    /// [`ClientError::Encode`] when the arguments are neither an object nor null,
    /// [`ClientError::Refused`] when the server refuses the call, as for an unknown tool,
    /// [`ClientError::Timeout`] and [`ClientError::Connection`].
    pub async fn call_tool_result(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<CallToolResult> {
        self.call(name, None, arguments).await
    }

    async fn call(
        &self,
        name: &str,
        version: Option<&str>,
        arguments: impl Serialize,
    ) -> Result<CallToolResult> {
        let mut params = CallToolRequestParams::new(name.to_owned());
        params.arguments = object(arguments)?;
        params.meta = versioned::meta(self.running.service().meta(), version);
        if !self.running.service().takes_tasks() {
            return self.within(self.running.call_tool(params)).await;
        }
        self.bounded(async {
            for _ in 0..MAX_ROUNDS {
                match self.running.call_tool_once(params.clone()).await? {
                    CallToolResponse::Complete(result) => return Ok(result),
                    CallToolResponse::Task(task) => {
                        return self.end_of_task(&task.task.task_id).await;
                    }
                    CallToolResponse::InputRequired(asked) => {
                        let questions = asked.input_requests.unwrap_or_default();
                        params.input_responses =
                            Some(self.running.service().answer_all(questions).await?);
                        params.request_state = asked.request_state;
                    }
                    _ => return Err(ServiceError::UnexpectedResponse.into()),
                }
            }
            let max_rounds = MAX_ROUNDS;
            Err(ServiceError::InputRequiredRoundsExceeded { max_rounds }.into())
        })
        .await
    }

    /// Returns this client for one version of the components that it uses. Those that have no version
    /// are used as ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::{Client, Server, tool};
    ///
    /// #[tool(name = "greet", version = "1.0")]
    /// async fn greet_v1() -> &'static str {
    ///     "Hello"
    /// }
    ///
    /// #[tool(name = "greet", version = "2.0")]
    /// async fn greet_v2() -> &'static str {
    ///     "Good day"
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = Server::builder("Greeter").tool(greet_v1).tool(greet_v2).build()?;
    /// let client = Client::connect(&server).await?;
    /// assert_eq!(client.call_tool::<String>("greet", ()).await?, "Good day");
    /// let old = client.at_version("1.0");
    /// assert_eq!(old.call_tool::<String>("greet", ()).await?, "Hello");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn at_version(&self, version: impl Into<String>) -> AtVersion<'_> {
        AtVersion::new(self, version.into())
    }

    /// Makes one step of a tool call: it may end with questions, which are not answered here, or
    /// with a task, which is not waited for.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`], [`ClientError::Timeout`] and [`ClientError::Connection`].
    pub async fn call_tool_once(&self, params: CallToolRequestParams) -> Result<CallToolResponse> {
        self.within(self.running.call_tool_once(params)).await
    }

    /// Asks how a task is.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when there is no such task of this caller, and as
    /// [`call_tool_once`](Self::call_tool_once).
    pub async fn get_task(&self, id: &str) -> Result<DetailedTask> {
        let got = self.within(self.running.get_task(GetTaskParams::new(id)));
        Ok(got.await?.task)
    }

    /// Answers open questions of a task, by their keys.
    ///
    /// # Errors
    ///
    /// As [`get_task`](Self::get_task).
    pub async fn update_task(&self, id: &str, answers: InputResponses) -> Result<()> {
        let params = UpdateTaskParams::new(id, answers);
        self.within(self.running.update_task(params)).await
    }

    /// Cancels a task.
    ///
    /// # Errors
    ///
    /// As [`get_task`](Self::get_task).
    pub async fn cancel_task(&self, id: &str) -> Result<()> {
        let params = CancelTaskParams::new(id);
        self.within(self.running.cancel_task(params)).await
    }

    /// Lists all tools.
    ///
    /// # Errors
    ///
    /// As [`call_tool_once`](Self::call_tool_once).
    pub async fn list_tools(&self) -> Result<Vec<Tool>> {
        self.within(self.running.list_all_tools()).await
    }

    /// Lists all resources that are not templates.
    ///
    /// # Errors
    ///
    /// As [`call_tool_once`](Self::call_tool_once).
    pub async fn list_resources(&self) -> Result<Vec<Resource>> {
        self.within(self.running.list_all_resources()).await
    }

    /// Lists all resource templates.
    ///
    /// # Errors
    ///
    /// As [`call_tool_once`](Self::call_tool_once).
    pub async fn list_resource_templates(&self) -> Result<Vec<ResourceTemplate>> {
        self.within(self.running.list_all_resource_templates())
            .await
    }

    /// Lists all prompts.
    ///
    /// # Errors
    ///
    /// As [`call_tool_once`](Self::call_tool_once).
    pub async fn list_prompts(&self) -> Result<Vec<Prompt>> {
        self.within(self.running.list_all_prompts()).await
    }

    /// Reads a resource.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when there is no such resource or it fails, and as
    /// [`call_tool_once`](Self::call_tool_once).
    pub async fn read_resource(&self, uri: &str) -> Result<ReadResourceResult> {
        self.read(uri, None).await
    }

    async fn read(&self, uri: &str, version: Option<&str>) -> Result<ReadResourceResult> {
        let mut params = ReadResourceRequestParams::new(uri);
        params.meta = versioned::meta(None, version);
        self.within(self.running.read_resource(params)).await
    }

    /// Renders a prompt with arguments that become a JSON object of strings, or null for none.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] when there is no such prompt or it fails, and as
    /// [`call_tool_result`](Self::call_tool_result).
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<GetPromptResult> {
        self.render(name, None, arguments).await
    }

    async fn render(
        &self,
        name: &str,
        version: Option<&str>,
        arguments: impl Serialize,
    ) -> Result<GetPromptResult> {
        let mut params = GetPromptRequestParams::new(name);
        params.arguments = object(arguments)?;
        params.meta = versioned::meta(None, version);
        self.within(self.running.get_prompt(params)).await
    }

    /// Asks for suggestions for what a person types.
    ///
    /// # Errors
    ///
    /// As [`call_tool_once`](Self::call_tool_once).
    pub async fn complete(&self, params: CompleteRequestParams) -> Result<CompletionInfo> {
        let suggested = self.within(self.running.complete(params));
        Ok(suggested.await?.completion)
    }

    /// Ends the connection, and waits for the end of the process that the client has started: its
    /// input is closed, after 3 seconds it gets a SIGTERM, after 3 more it is killed.
    pub async fn close(self) {
        // It has ended, however that came.
        let _ = self.running.cancel().await;
    }

    /// Asks for a task until it has ended, answers its questions, and returns what it came to.
    async fn end_of_task(&self, id: &str) -> Result<CallToolResult> {
        loop {
            let task = self.running.get_task(GetTaskParams::new(id)).await?.task;
            let poll = task.task.poll_interval_ms.map(Duration::from_millis);
            match task.payload {
                TaskPayload::Completed { result } => {
                    return serde_json::from_value(Value::Object(result))
                        .map_err(ClientError::Decode);
                }
                TaskPayload::Failed { error } => {
                    let error = serde_json::from_value(Value::Object(error));
                    let error = error.map_err(ClientError::Decode)?;
                    return Err(ServiceError::McpError(error).into());
                }
                TaskPayload::Cancelled => return Err(ClientError::Cancelled),
                TaskPayload::InputRequired { input_requests } => {
                    let answers = self.running.service().answer_all(input_requests).await?;
                    let answers = UpdateTaskParams::new(id, answers);
                    self.running.update_task(answers).await?;
                }
                _ => {}
            }
            tokio::time::sleep(poll.unwrap_or(POLL_INTERVAL)).await;
        }
    }

    /// Waits for the server's answer, for as long as a call may take.
    async fn within<T>(
        &self,
        answer: impl Future<Output = std::result::Result<T, ServiceError>>,
    ) -> Result<T> {
        self.bounded(async { Ok(answer.await?) }).await
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, work)
                .await
                .unwrap_or(Err(ClientError::Timeout(timeout))),
            None => work.await,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Makes arguments of what is an object, or nothing.
fn object(arguments: impl Serialize) -> Result<Option<JsonObject>> {
    match serde_json::to_value(arguments).map_err(ClientError::Encode)? {
        Value::Object(arguments) => Ok(Some(arguments)),
        Value::Null => Ok(None),
        _ => Err(ClientError::Encode(serde::ser::Error::custom(
            "arguments are an object, with a member for each, or null",
        ))),
    }
}

/// Returns what a tool has come to.
fn value_of<T: DeserializeOwned>(result: &CallToolResult) -> Result<T> {
    if result.is_error == Some(true) {
        return Err(ClientError::Tool(texts(result)));
    }
    decode(result)
}

/// Reads a tool's result as a `T`.
fn decode<T: DeserializeOwned>(result: &CallToolResult) -> Result<T> {
    if let Some(structured) = &result.structured_content {
        let wrapped = result.meta.as_ref().is_some_and(|meta| {
            meta.get("fastmcp")
                .is_some_and(|meta| meta["wrap_result"] == true)
        });
        let value = if wrapped {
            &structured["result"]
        } else {
            structured
        };
        return T::deserialize(value).map_err(ClientError::Decode);
    }
    if result.content.is_empty() {
        return T::deserialize(Value::Null).map_err(ClientError::Decode);
    }
    let text = texts(result);
    match T::deserialize(Value::String(text.clone())) {
        Ok(text) => Ok(text),
        Err(_) => serde_json::from_str(&text).map_err(ClientError::Decode),
    }
}

/// Returns the texts of a result, one a line.
fn texts(result: &CallToolResult) -> String {
    let texts = result.content.iter().filter_map(|block| block.as_text());
    let texts: Vec<_> = texts.map(|text| text.text.as_str()).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(wire: Value) -> CallToolResult {
        serde_json::from_value(wire).unwrap()
    }

    #[test]
    fn a_result_is_read_from_its_structure_or_its_text() {
        let structured = result(json!({ "content": [], "structuredContent": { "a": 1 } }));
        assert_eq!(decode::<Value>(&structured).unwrap(), json!({ "a": 1 }));
        let wrapped = result(json!({
            "content": [],
            "structuredContent": { "result": [1, 2] },
            "_meta": { "fastmcp": { "wrap_result": true } },
        }));
        assert_eq!(decode::<Vec<u8>>(&wrapped).unwrap(), [1, 2]);
        let text = result(json!({ "content": [{ "type": "text", "text": "5" }] }));
        assert_eq!(decode::<String>(&text).unwrap(), "5");
        assert_eq!(decode::<u8>(&text).unwrap(), 5);
        decode::<()>(&result(json!({ "content": [] }))).unwrap();
        decode::<bool>(&text).unwrap_err();
    }

    #[test]
    fn arguments_are_an_object_or_nothing() {
        assert!(object(json!({ "a": 1 })).unwrap().is_some());
        assert!(object(()).unwrap().is_none());
        object([1, 2]).unwrap_err();
    }
}
