//! [`TestClient`]: a real client in the same process, for tests of a server.

use std::fmt;

use rmcp::RoleClient;
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RunningService,
    ServiceError, serve_server_with_ct,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::server::Adapter;
use crate::types::{
    CallToolRequestParams, CallToolResult, GetPromptRequestParams, GetPromptResult, JsonObject,
    Prompt, ProtocolVersion, ReadResourceRequestParams, ReadResourceResult, Resource,
    ResourceTemplate, Tool,
};
use crate::{Error, Result};

/// How many bytes wait between the two ends.
const PIPE_BYTES: usize = 64 * 1024;

/// A client of a server in the same process: real messages, no network.
///
/// Made by [`Server::test_client`](crate::Server::test_client). It speaks protocol 2026-07-28 and
/// is one local connection, with a session of its own. Dropping it closes the connection.
pub struct TestClient {
    client: RunningService<RoleClient, ()>,
}

impl TestClient {
    pub(crate) async fn connect(adapter: Adapter, stopping: CancellationToken) -> Result<Self> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(async move {
            if let Ok(service) = serve_server_with_ct(adapter, theirs, stopping).await {
                let _ = service.waiting().await;
            }
        });
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let client =
            ().serve_with_lifecycle(ours, lifecycle)
                .await
                .map_err(|error| {
                    let source = Box::<ClientInitializeError>::new(error);
                    Error::Transport {
                        transport: "in-memory",
                        source,
                    }
                })?;
        Ok(Self { client })
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
        Ok(self.client.call_tool(params).await?)
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
