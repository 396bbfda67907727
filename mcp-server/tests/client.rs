//! The client: where it connects to, what it answers and hears, and how its calls end.

use std::env;
use std::future::{pending, ready};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::{Next, from_fn};
use axum::routing::any;
use mcp_server::client::{ClientError, ClientMode, McpConfig};
use mcp_server::types::{ElicitResult, ElicitationAction, Icon};
use mcp_server::{
    BoxError, Client, Context, Error, IconExt, Server, State, ToolError, axum, prompt, resource,
    tool,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::http_client::Served;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
struct Point {
    x: i64,
    y: i64,
}

#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tool]
async fn mirror(point: Point) -> Point {
    Point {
        x: -point.x,
        y: -point.y,
    }
}

#[tool]
async fn fail() -> Result<i64, ToolError> {
    Err(ToolError::new("come back on Monday"))
}

#[derive(Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
struct Order {
    dish: String,
    #[serde(default = "two")]
    count: u8,
}

const fn two() -> u8 {
    2
}

#[tool]
async fn order(cx: Context) -> Result<String, ToolError> {
    let Order { dish, count } = cx.elicit::<Order>("What?").await?.accepted().unwrap();
    Ok(format!("{count} {dish}"))
}

/// Asks as a task.
#[tool(task)]
async fn prepare(cx: Context) -> Result<String, ToolError> {
    let Order { dish, .. } = cx.elicit::<Order>("What?").await?.accepted().unwrap();
    Ok(dish)
}

/// Never ends, and tells when it begins and when it is dropped.
#[tool]
async fn hang(begun: State<Signals>) {
    struct Dropped(Signals);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.0[1].notify_one();
        }
    }
    let dropped = Dropped(Signals::clone(&begun));
    dropped.0.0[0].notify_one();
    pending::<()>().await;
}

#[derive(Clone, Default)]
struct Signals(Arc<[Notify; 2]>);

#[resource("news://today")]
async fn news() -> &'static str {
    "no news"
}

#[prompt]
async fn ask_about(topic: String) -> String {
    format!("What is {topic}?")
}

fn server() -> Server {
    server_with(&Signals::default())
}

fn server_with(signals: &Signals) -> Server {
    Server::builder("Kitchen")
        .instructions("Order first.")
        .website_url("https://example.com")
        .icon(Icon::from_bytes(b"<svg/>", "image/svg+xml"))
        .with_state(signals.clone())
        .tool(add)
        .tool(mirror)
        .tool(fail)
        .tool(order)
        .tool(prepare)
        .tool(hang)
        .resource(news)
        .prompt(ask_about)
        .build()
        .unwrap()
}

async fn url_of(router: Router) -> String {
    format!("http://{}/mcp", Served::new(router).await.address)
}

fn example(name: &str) -> PathBuf {
    let folder = env::current_exe().unwrap();
    let path = folder
        .ancestors()
        .nth(2)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(path.exists(), "{} is not built", path.display());
    path
}

#[tokio::test]
async fn a_tool_is_called_by_types() {
    let client = Client::connect(&server()).await.unwrap();
    let sum: i64 = client
        .call_tool("add", json!({ "a": 1, "b": 2 }))
        .await
        .unwrap();
    assert_eq!(sum, 3);
    let arguments = json!({ "point": Point { x: 1, y: 2 } });
    let point: Point = client.call_tool("mirror", arguments).await.unwrap();
    assert_eq!(point, Point { x: -1, y: -2 });
    let sum: Result<String, _> = client.call_tool("add", json!({ "a": 1, "b": 2 })).await;
    assert!(matches!(sum, Err(ClientError::Decode(_))), "{sum:?}");
}

#[tokio::test]
async fn a_tool_that_fails_is_an_error_with_what_it_says() {
    let client = Client::connect(&server()).await.unwrap();
    let error = client.call_tool::<i64>("fail", ()).await.unwrap_err();
    assert!(matches!(&error, ClientError::Tool(_)), "{error:?}");
    assert_eq!(error.to_string(), "come back on Monday");
}

#[tokio::test]
async fn a_server_at_a_url_is_used_by_both_protocols() {
    let url = url_of(server().into_router().unwrap()).await;
    for (mode, version) in [
        (ClientMode::Auto, "2026-07-28"),
        (ClientMode::Stateless, "2026-07-28"),
        (ClientMode::Handshake, "2025-11-25"),
    ] {
        let client = Client::builder()
            .mode(mode)
            .connect(url.as_str())
            .await
            .unwrap();
        let about = client.server();
        assert_eq!(about.protocol_version.to_string(), version);
        assert_eq!(about.instructions.as_deref(), Some("Order first."));
        let server = about.server_info.as_ref().unwrap();
        assert_eq!(server.website_url.as_deref(), Some("https://example.com"));
        let icons = server.icons.as_deref().unwrap();
        assert_eq!(icons[0].src, "data:image/svg+xml;base64,PHN2Zy8+");
        let sum: i64 = client
            .call_tool("add", json!({ "a": 1, "b": 2 }))
            .await
            .unwrap();
        assert_eq!(sum, 3);
        let tools = client.list_tools().await.unwrap();
        assert_eq!(tools.len(), 6);
        let read = client.read_resource("news://today").await.unwrap();
        assert_eq!(read.contents.len(), 1);
        let rendered = client
            .get_prompt("ask_about", json!({ "topic": "tea" }))
            .await;
        assert_eq!(rendered.unwrap().messages.len(), 1);
        client.close().await;
    }
}

#[tokio::test]
async fn headers_are_sent_with_every_request() {
    let wrong = Arc::new(Mutex::new(0));
    let count = Arc::clone(&wrong);
    let check = from_fn(move |request: Request, next: Next| {
        let is = |name, value| request.headers().get(name).is_some_and(|it| it == value);
        if !is("authorization", "Bearer hunter2") || !is("x-tenant", "a") {
            *count.lock().unwrap() += 1;
        }
        next.run(request)
    });
    let url = url_of(server().into_router().unwrap().layer(check)).await;
    let builder = Client::builder()
        .bearer_token("hunter2")
        .header("X-Tenant", "a");
    assert!(!format!("{builder:?}").contains("hunter2"));
    let client = builder.connect(url).await.unwrap();
    client
        .call_tool::<i64>("add", json!({ "a": 1, "b": 2 }))
        .await
        .unwrap();
    assert_eq!(*wrong.lock().unwrap(), 0);
}

#[tokio::test]
async fn no_header_goes_to_another_host() {
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let other = url_of(Router::new().route(
        "/mcp",
        any(move || {
            *count.lock().unwrap() += 1;
            ready(StatusCode::OK)
        }),
    ));
    let other = other.await;
    let leave = move || ready((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, other.clone())]));
    let url = url_of(Router::new().route("/mcp", any(leave))).await;
    let error = Client::builder()
        .bearer_token("hunter2")
        .connect(url)
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
    assert_eq!(*seen.lock().unwrap(), 0);
}

#[tokio::test]
async fn what_cannot_be_a_server_is_told_without_secrets() {
    for url in ["", "localhost:8000", "ftp://a/mcp", "http://", "hunter2"] {
        let error = Client::connect(url).await.unwrap_err();
        assert!(matches!(error, ClientError::Target(_)), "{url}: {error:?}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let wrong = Client::builder().header("X-Key", "hunter2\n");
    let error = wrong.connect("http://127.0.0.1:1/mcp").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value of the header X-Key cannot be sent"
    );
    let url = "http://ada:hunter2@127.0.0.1:1/mcp?key=hunter2";
    let error = Client::connect(url).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no MCP server at http://127.0.0.1:1/mcp"
    );
    let error = Client::connect(Command::new("/nowhere/server"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no MCP server at /nowhere/server"
    );
}

#[tokio::test]
async fn a_process_is_started_and_ends_with_the_client() {
    let folder = tempfile::tempdir().unwrap();
    let ended = folder.path().join("ended");
    let mut command = Command::new("sh");
    let script = r#""$0" --transport stdio && touch ended"#;
    command.arg("-c").arg(script).arg(example("quickstart"));
    let client = Client::connect({
        command.current_dir(folder.path());
        command
    });
    let client = client.await.unwrap();
    assert!(!client.list_tools().await.unwrap().is_empty());
    assert!(!ended.exists());
    client.close().await;
    assert!(ended.exists());
}

#[tokio::test]
async fn a_process_that_says_nothing_is_given_up() {
    let mut silent = Command::new("sleep");
    silent.arg("60");
    let limited = Client::builder().timeout(Duration::from_millis(100));
    let error = limited.connect(silent).await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_of_a_configuration_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.json");
    let url = url_of(server().into_router().unwrap()).await;
    let quickstart = json!({
        "command": example("quickstart"),
        "args": ["--transport", "stdio"],
        "cwd": folder.path(),
    });
    let config = json!({ "mcpServers": { "kitchen": { "url": url }, "local": quickstart } });
    std::fs::write(&path, config.to_string()).unwrap();
    let config = McpConfig::read(&path).unwrap();
    for name in ["kitchen", "local"] {
        let client = Client::connect(config.server(name).unwrap()).await.unwrap();
        assert!(!client.list_tools().await.unwrap().is_empty());
        client.close().await;
    }
    let error = McpConfig::read(folder.path().join("none.json")).unwrap_err();
    assert!(matches!(error, ClientError::Config { .. }), "{error:?}");
}

#[tokio::test]
async fn a_call_that_takes_too_long_or_is_dropped_ends_at_the_server() {
    let signals = Signals::default();
    let url = url_of(server_with(&signals).into_router().unwrap()).await;
    let within = Duration::from_millis(300);
    for mode in [ClientMode::Stateless, ClientMode::Handshake] {
        let limited = Client::builder().mode(mode).timeout(within);
        let client = limited.connect(url.as_str()).await.unwrap();
        let error = client.call_tool::<()>("hang", ()).await.unwrap_err();
        assert!(matches!(error, ClientError::Timeout(_)), "{error:?}");
        timeout(PATIENCE, signals.0[0].notified()).await.unwrap();
        timeout(PATIENCE, signals.0[1].notified()).await.unwrap();

        let client = Client::builder()
            .mode(mode)
            .connect(url.as_str())
            .await
            .unwrap();
        tokio::select! {
            answer = client.call_tool::<()>("hang", ()) => panic!("{answer:?}"),
            () = signals.0[0].notified() => {}
        }
        timeout(PATIENCE, signals.0[1].notified()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_user_leaves_out_of_a_form_has_its_default() {
    let builder = Client::builder().elicitation_handler(|_| {
        let content = json!({ "dish": "pies" });
        ready(ElicitResult::new(ElicitationAction::Accept).with_content(content))
    });
    let client = builder.connect(&server()).await.unwrap();
    let said: String = client.call_tool("order", ()).await.unwrap();
    assert_eq!(said, "2 pies");
}

#[tokio::test]
async fn a_client_that_takes_tasks_answers_them_and_waits_for_their_end() {
    let builder = Client::builder().tasks().elicitation_handler(async |_| {
        let content = json!({ "dish": "pies" });
        ElicitResult::new(ElicitationAction::Accept).with_content(content)
    });
    let client = builder.connect(&server()).await.unwrap();
    let said: String = client.call_tool("prepare", ()).await.unwrap();
    assert_eq!(said, "pies");
    let said: String = client.call_tool("order", ()).await.unwrap();
    assert_eq!(said, "2 pies");
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let server = Server::builder("Broken")
        .lifespan(
            |_| async { Err::<(), BoxError>("no database".into()) },
            |_| async {},
        )
        .build()
        .unwrap();
    let error = Client::connect(&server).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Server(Error::Lifespan { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn arguments_that_are_no_object_are_refused() {
    let client = Client::connect(&server()).await.unwrap();
    let error = client.call_tool::<Value>("add", [1, 2]).await.unwrap_err();
    assert!(matches!(error, ClientError::Encode(_)), "{error:?}");
}
