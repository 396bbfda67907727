//! A server on a listener, and bare requests of both protocol eras to it.

use std::net::SocketAddr;

use axum::Router;
use mcp_server::axum;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The newest protocol version.
const MODERN: &str = "2026-07-28";

/// A router that is being served on a free port until the test ends.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    client: Client,
}

impl Served {
    pub(crate) async fn new(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            client: Client::new(),
        }
    }

    /// Starts a POST to the endpoint with the headers that every client sends.
    pub(crate) fn post(&self) -> RequestBuilder {
        self.client
            .post(format!("http://{}/mcp", self.address))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("http://{}{path}", self.address))
    }

    /// Sends a request of protocol 2026-07-28, and returns the JSON-RPC answer.
    pub(crate) async fn modern(&self, method: &str, name: &str, params: Value) -> Value {
        self.modern_with(method, name, params, HeaderMap::new())
            .await
            .1
    }

    /// Calls a tool by protocol 2026-07-28, and returns its result.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.modern("tools/call", tool, params).await["result"].take()
    }

    pub(crate) async fn modern_with(
        &self,
        method: &str,
        name: &str,
        params: Value,
        headers: HeaderMap,
    ) -> (StatusCode, Value) {
        answer(self.modern_request(method, name, params).headers(headers)).await
    }

    /// Starts a request of protocol 2026-07-28.
    pub(crate) fn modern_request(
        &self,
        method: &str,
        name: &str,
        mut params: Value,
    ) -> RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self
            .post()
            .header("mcp-protocol-version", MODERN)
            .header("mcp-method", method)
            .json(&body);
        if name.is_empty() {
            request
        } else {
            request.header("mcp-name", name)
        }
    }

    /// Opens a session by the handshake, and returns its id.
    pub(crate) async fn handshake(&self) -> String {
        self.handshake_with(json!({})).await
    }

    /// Opens a session of a client that can do so much, and returns its id.
    pub(crate) async fn handshake_with(&self, capabilities: Value) -> String {
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": capabilities,
                "clientInfo": { "name": "test", "version": "1" },
            },
        });
        let response = self.post().json(&initialize).send().await.unwrap();
        let session = response.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let request = self
            .post()
            .header("mcp-session-id", &session)
            .json(&initialized);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
        session
    }

    /// Calls a tool within a session, and returns its result.
    pub(crate) async fn call_in(&self, session: &str, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask_in(session, "tools/call", params).await["result"].take()
    }

    /// Sends a request within a session, and returns the JSON-RPC answer.
    pub(crate) async fn ask_in(&self, session: &str, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.post().header("mcp-session-id", session).json(&body);
        answer(request).await.1
    }
}

/// Sends a request, and returns the JSON-RPC answer, also from an event stream.
pub(crate) async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    let mut events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let json = events.next_back().unwrap_or(&text);
    (status, serde_json::from_str(json).unwrap_or(Value::Null))
}
