//! What a server does around its components: names, errors, panics, states, lifespan.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mcp_server::axum::routing::get;
use mcp_server::client::ClientError;
use mcp_server::{
    BoxError, Client, Context, Error, PromptError, ResourceError, Server, State, ToolError, prompt,
    resource, tool,
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::http_client::Served;

#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tool]
async fn leak() -> Result<String, ToolError> {
    Err(io::Error::other("password=hunter2"))?
}

#[tool]
async fn refuse() -> Result<String, ToolError> {
    Err(ToolError::new("come back on Monday"))
}

#[tool]
async fn burst() -> String {
    panic!("at the disco")
}

#[tool]
async fn greet(greeting: State<String>) -> String {
    format!("{} there", *greeting)
}

#[resource("broken://now")]
async fn broken() -> Result<String, ResourceError> {
    Err(io::Error::other("password=hunter2"))?
}

#[resource("item://{id}")]
async fn item(id: u32) -> String {
    format!("item {id}")
}

#[prompt]
async fn ask(topic: String) -> Result<String, PromptError> {
    if topic == "politics" {
        return Err(PromptError::new("not about that"));
    }
    Ok(format!("What about {topic}?"))
}

async fn client() -> Client {
    let server = Server::builder("Test")
        .tool(add)
        .tool(leak)
        .tool(refuse)
        .tool(burst)
        .tool(greet)
        .resource(broken)
        .resource(item)
        .prompt(ask)
        .with_state("Hello".to_owned())
        .build()
        .unwrap();
    Client::connect(&server).await.unwrap()
}

async fn text_of(tool: &str, arguments: serde_json::Value) -> (bool, String) {
    let result = client()
        .await
        .call_tool_result(tool, arguments)
        .await
        .unwrap();
    let text = result.content[0].as_text().unwrap().text.clone();
    (result.is_error.unwrap_or(false), text)
}

#[tokio::test]
async fn a_tool_answers_with_text_and_structure() {
    let result = client()
        .await
        .call_tool_result("add", json!({ "a": 1, "b": 2 }))
        .await
        .unwrap();
    assert_eq!(result.content[0].as_text().unwrap().text, "3");
    assert_eq!(result.structured_content, Some(json!({ "result": 3 })));
}

#[tokio::test]
async fn an_error_of_another_kind_is_masked() {
    assert_eq!(
        text_of("leak", json!({})).await,
        (true, "Error calling tool 'leak'".to_owned())
    );
}

#[tokio::test]
async fn a_tool_error_reaches_the_client() {
    assert_eq!(
        text_of("refuse", json!({})).await,
        (true, "come back on Monday".to_owned())
    );
}

#[tokio::test]
async fn a_panic_is_masked_and_the_server_goes_on() {
    let client = client().await;
    let result = client.call_tool_result("burst", json!({})).await.unwrap();
    assert_eq!(
        result.content[0].as_text().unwrap().text,
        "Error calling tool 'burst'"
    );
    assert!(
        client
            .call_tool_result("add", json!({ "a": 1, "b": 2 }))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error_that_names_it() {
    let error = client()
        .await
        .call_tool_result("ad\nd", json!({}))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), &*error.to_string()),
        (Some(-32602), "Unknown tool: 'ad\\nd'")
    );
}

#[tokio::test]
async fn all_problems_of_the_arguments_are_told_at_once() {
    let (is_error, text) = text_of("add", json!({ "a": "one", "c": 3 })).await;
    assert!(is_error);
    for name in ["`a`", "`b`", "`c`"] {
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test]
async fn a_state_is_injected() {
    assert_eq!(
        text_of("greet", json!({})).await,
        (false, "Hello there".to_owned())
    );
}

#[tokio::test]
async fn a_resource_that_fails_is_masked() {
    let error = client()
        .await
        .read_resource("broken://now")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(-32603));
    assert_eq!(error.to_string(), "Error reading resource 'broken://now'");
}

#[tokio::test]
async fn an_unknown_resource_is_an_error_with_its_uri() {
    let error = client()
        .await
        .read_resource("nothing://here")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(-32602));
    let ClientError::Refused { data, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(data, Some(json!({ "uri": "nothing://here" })));
}

#[tokio::test]
async fn a_template_parameter_of_the_wrong_type_is_an_error_that_names_it() {
    let error = client()
        .await
        .read_resource("item://seven")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(-32602));
    assert!(error.to_string().contains("id"), "{error}");
}

#[tokio::test]
async fn a_prompt_without_its_argument_is_an_error_that_names_it() {
    let error = client()
        .await
        .get_prompt("ask", json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(-32602));
    assert!(error.to_string().contains("topic"), "{error}");
}

#[tokio::test]
async fn a_prompt_error_reaches_the_client() {
    let error = client()
        .await
        .get_prompt("ask", json!({ "topic": "politics" }))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "not about that");
}

#[test]
fn two_tools_of_one_name_are_refused() {
    let error = Server::builder("Test")
        .tool(add)
        .tool(add)
        .build()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Duplicate { kind: "tool", name } if name == "add"),
        "{error}"
    );
}

#[test]
fn a_route_at_the_endpoint_is_refused() {
    for path in ["/mcp", "/mcp/", "mcp"] {
        let server = Server::builder("Test").route(path, get(|| async { "ok" }));
        assert!(server.build().is_err(), "{path}");
    }
}

#[test]
fn a_state_that_nothing_provides_is_refused_at_the_start() {
    let error = Server::builder("Test").tool(greet).build().unwrap_err();
    assert!(matches!(error, Error::MissingState { .. }));
    assert!(error.to_string().contains(".with_state(..)"), "{error}");
}

#[test]
fn a_lifespan_provides_the_state_that_it_returns() {
    let server = Server::builder("Test").tool(greet).lifespan(
        |_store| async { Ok::<_, BoxError>(String::new()) },
        |_state: Arc<String>| async {},
    );
    assert!(server.build().is_ok());
}

#[tokio::test]
async fn the_lifespan_starts_once_and_stops_once() {
    static STARTS: AtomicU32 = AtomicU32::new(0);
    static STOPS: AtomicU32 = AtomicU32::new(0);
    let server = Server::builder("Test")
        .tool(greet)
        .lifespan(
            |_store| async {
                STARTS.fetch_add(1, Ordering::SeqCst);
                Ok::<_, BoxError>("Hi".to_owned())
            },
            |greeting: Arc<String>| async move {
                assert_eq!(*greeting, "Hi");
                STOPS.fetch_add(1, Ordering::SeqCst);
            },
        )
        .build()
        .unwrap();
    for _ in 0..3 {
        let client = Client::connect(&server).await.unwrap();
        client.call_tool_result("greet", json!({})).await.unwrap();
    }
    server.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(
        (STARTS.load(Ordering::SeqCst), STOPS.load(Ordering::SeqCst)),
        (1, 1)
    );
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_stops_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.redb"), "no database").unwrap();
    let store = kv_disk::DiskStore::new(folder.path()).unwrap();
    let server = Server::builder("Test").storage(store).build().unwrap();
    let error = Client::connect(&server).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Server(Error::Store { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_lifespan_that_fails_stops_the_server_from_starting() {
    let server = Server::builder("Test")
        .lifespan(
            |_store| async { Err("no database") },
            |_state: Arc<()>| async {},
        )
        .build()
        .unwrap();
    for _ in 0..2 {
        assert!(matches!(
            Client::connect(&server).await,
            Err(ClientError::Server(Error::Lifespan { .. }))
        ));
    }
}

/// Tells the test when the call begins and when its future is dropped.
struct Witness(std::sync::Mutex<Option<(oneshot::Sender<()>, oneshot::Sender<()>)>>);

#[tool]
async fn hang(cx: Context, witness: State<Witness>) -> String {
    let (began, dropped) = witness.0.lock().unwrap().take().unwrap();
    let _ = began.send(());
    let _dropped_with_the_call = dropped;
    cx.cancellation_token().cancelled().await;
    tokio::time::sleep(Duration::MAX).await;
    String::new()
}

#[tokio::test]
async fn a_custom_route_answers_beside_the_endpoint() {
    let server = Server::builder("Test")
        .route("/health", get(|| async { "ok" }))
        .build()
        .unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    let response = served.get("/health").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
}

#[tokio::test]
async fn a_custom_route_is_behind_the_same_checks_as_the_endpoint() {
    let server = Server::builder("Test")
        .route("/health", get(|| async { "ok" }))
        .build()
        .unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    let response = served
        .get("/health")
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 403);
    assert!(response.text().await.unwrap().contains("--allowed-host"));
}

#[tool]
async fn slow(witness: State<Witness>) -> &'static str {
    let (began, _) = witness.0.lock().unwrap().take().unwrap();
    let _ = began.send(());
    tokio::time::sleep(Duration::from_millis(300)).await;
    "done"
}

#[tokio::test]
async fn a_shutdown_waits_for_the_calls_under_way_and_takes_no_more() {
    let (began, has_begun) = oneshot::channel();
    let witness = Witness(std::sync::Mutex::new(Some((began, oneshot::channel().0))));
    let server = Server::builder("Test")
        .tool(slow)
        .with_state(witness)
        .build()
        .unwrap();
    let client = Client::connect(&server).await.unwrap();
    let (answer, ()) = tokio::join!(client.call_tool_result("slow", json!({})), async {
        has_begun.await.unwrap();
        server.shutdown().await.unwrap();
    });
    assert_eq!(
        answer.unwrap().structured_content,
        Some(json!({ "result": "done" }))
    );
    assert!(Client::connect(&server).await.is_err());
}

#[tokio::test]
async fn a_call_is_dropped_when_its_client_goes_away() {
    let (began, has_begun) = oneshot::channel();
    let (dropped, was_dropped) = oneshot::channel();
    let witness = Witness(std::sync::Mutex::new(Some((began, dropped))));
    let server = Server::builder("Test")
        .tool(hang)
        .with_state(witness)
        .build()
        .unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    tokio::select! {
        _ = served.call("hang", json!({})) => unreachable!("it hangs"),
        _ = has_begun => {}
    }
    // The sender is dropped without a word, together with the call.
    assert!(was_dropped.await.is_err());
}
