//! Tests over a real listener: a tiny handler, reqwest, and raw sockets where reqwest would
//! normalise.

mod edge;
mod evict;
mod in_process;
mod json;
mod message;
mod owner;
mod restore;
mod resume;
mod running;
mod session;
mod stop;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use kv_core::{Clock, Store, Timestamp};
use kv_memory::MemoryStore;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    ProgressNotificationParam, ServerCapabilities, ServerConfig, SubscriptionFilter,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::serve::serve_at_most;
use super::{
    DEFAULT_MAX_BODY_BYTES, EdgeConfig, HttpOptions, SessionLimits, Sessions, Shutdown, bind,
    mcp_router, protect,
};

use crate::server::Bus;

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{
    "protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Answers every tool call with `done`; the tool `wait` needs a permit first, `flood` sends 1,000
/// times 64 KiB of progress. Subscriptions end in order when the server is to stop.
#[derive(Clone)]
struct Handler {
    calls: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
    shutdown: Shutdown,
    /// Told when an answer of `/endless` is dropped.
    endless: Arc<Notify>,
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match &*params.name {
            "wait" => self.permits.acquire().await.unwrap().forget(),
            "flood" => {
                let token = context.meta.get_progress_token().unwrap();
                for step in 0..1000 {
                    let progress = ProgressNotificationParam::new(token.clone(), f64::from(step))
                        .with_message("x".repeat(64 << 10));
                    context.peer.notify_progress(progress).await.unwrap();
                }
            }
            _ => {}
        }
        Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
    }

    fn accepted_subscription_filter(
        &self,
        asked: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(asked.clone())
    }

    async fn listen(&self, _: SubscriptionContext) -> Result<(), ErrorData> {
        self.shutdown.requested().cancelled().await;
        // The stream must outlast a handler that is not done at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }
}

/// A server, as its options describe it, on a free port of this machine.
struct Server {
    address: SocketAddr,
    handler: Handler,
    sessions: Sessions,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

/// The options that tests vary.
struct Setup {
    base_url: Option<&'static str>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    max_body_bytes: usize,
    path: &'static str,
    limits: SessionLimits,
    store: Arc<dyn Store>,
    max_connections: usize,
    grace: Duration,
}

/// The time of tokio, which tests can stop.
#[derive(Debug)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH.checked_add(self.0.elapsed()).unwrap()
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            base_url: None,
            allowed_hosts: vec![],
            allowed_origins: vec![],
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            path: "/mcp",
            limits: SessionLimits::default(),
            store: Arc::new(
                MemoryStore::builder()
                    .clock(TokioClock(Instant::now()))
                    .build(),
            ),
            max_connections: 4096,
            grace: Duration::from_secs(5),
        }
    }
}

impl Setup {
    /// Builds the protected router: MCP at its path, `/health`, `/echo`, which reads a body, and
    /// `/endless`.
    fn router(&self) -> (Router, Handler, Sessions, Shutdown) {
        let edge = EdgeConfig::new(
            self.base_url,
            &self.allowed_hosts,
            &self.allowed_origins,
            self.max_body_bytes,
            self.path,
        )
        .unwrap();
        let shutdown = Shutdown::default();
        let store = Arc::clone(&self.store);
        let bus = Arc::new(Bus::new());
        let sessions = Sessions::new(self.limits, store, &bus, shutdown.finished().clone());
        let handler = Handler {
            calls: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
            shutdown: shutdown.clone(),
            endless: Arc::default(),
        };
        let endless = Arc::clone(&handler.endless);
        let options = HttpOptions {
            edge: edge.clone(),
            sessions: sessions.clone(),
            shutdown: shutdown.clone(),
        };
        let router = mcp_router(handler.clone(), options)
            .route("/health", get(|| async { "ok" }))
            .route("/echo", post(|body: String| async { body }))
            .route("/endless", get(async || endless_answer(endless)));
        (protect(router, &edge), handler, sessions, shutdown)
    }

    async fn start(self) -> Server {
        let (router, handler, sessions, shutdown) = self.router();
        let listener = bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = shutdown.clone();
        let (max, grace) = (self.max_connections, self.grace);
        let serving =
            tokio::spawn(async move { serve_at_most(max, listener, router, &stop, grace).await });
        Server {
            address,
            handler,
            sessions,
            shutdown,
            serving,
        }
    }
}

impl Server {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        reqwest::Client::new()
            .post(self.url("/mcp"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    /// Sends a request as 2026-07-28 does: by itself.
    fn request(&self, method: &str, mut params: Value) -> reqwest::RequestBuilder {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.post(body.to_string())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method)
    }

    fn call(&self, tool: &str) -> reqwest::RequestBuilder {
        self.request("tools/call", json!({"name": tool, "arguments": {}}))
            .header("mcp-name", tool)
    }

    /// Subscribes as 2026-07-28 does.
    fn subscribe(&self) -> reqwest::RequestBuilder {
        let wanted = json!({"notifications": {"toolsListChanged": true}});
        self.request("subscriptions/listen", wanted)
    }

    /// Opens a session as 2025-11-25 does and returns its id.
    async fn open_session(&self) -> String {
        let response = self.post(INITIALIZE).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let id = response.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        response.text().await.unwrap();
        let ready = self
            .in_session(self.post(INITIALIZED), &id)
            .send()
            .await
            .unwrap();
        assert_eq!(ready.status(), 202);
        id
    }

    fn in_session(&self, request: reqwest::RequestBuilder, id: &str) -> reqwest::RequestBuilder {
        request
            .header("mcp-session-id", id)
            .header("mcp-protocol-version", "2025-11-25")
    }

    /// Calls a tool in a session.
    fn call_in(&self, id: &str, tool: &str) -> reqwest::RequestBuilder {
        self.call_with_id(id, tool, &json!(8))
    }

    fn call_with_id(&self, id: &str, tool: &str, call: &Value) -> reqwest::RequestBuilder {
        let body = json!({"jsonrpc": "2.0", "id": call, "method": "tools/call",
            "params": {"name": tool, "arguments": {}, "_meta": {"progressToken": "p"}}});
        self.in_session(self.post(body.to_string()), id)
    }

    /// Opens the stream of a session for whatever happens.
    fn listen(&self, id: &str) -> reqwest::RequestBuilder {
        let request = reqwest::Client::new()
            .get(self.url("/mcp"))
            .header("accept", "text/event-stream");
        self.in_session(request, id)
    }

    fn delete(&self, id: &str) -> reqwest::RequestBuilder {
        self.in_session(reqwest::Client::new().delete(self.url("/mcp")), id)
    }

    fn calls(&self) -> usize {
        self.handler.calls.load(Ordering::SeqCst)
    }

    /// Waits until the handler has been called `count` times.
    async fn called(&self, count: usize) {
        while self.calls() < count {
            tokio::task::yield_now().await;
        }
    }
}

/// Makes an answer without an end that tells when it is dropped.
fn endless_answer(dropped: Arc<Notify>) -> Body {
    struct Tell(Arc<Notify>);

    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    let tell = Tell(dropped);
    Body::from_stream(futures_util::stream::repeat_with(move || {
        let _ = &tell;
        Ok::<_, std::io::Error>("x".repeat(1000))
    }))
}

/// Returns the code and the message of a JSON-RPC error.
async fn rpc_error(response: reqwest::Response) -> (i64, String) {
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["jsonrpc"], "2.0");
    assert_eq!(body["id"], Value::Null);
    let error = &body["error"];
    (
        error["code"].as_i64().unwrap(),
        error["message"].as_str().unwrap().to_owned(),
    )
}
