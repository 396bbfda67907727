//! Components that come and go while a server runs, and what its clients hear of it.

use std::time::Duration;

use kv_disk::DiskStore;
use mcp_server::{Client, Context, Error, Server, ServerHandle, State, prompt, resource, tool};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::http_client::{Served, answer};

#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tool]
async fn greet(greeting: State<String>) -> String {
    greeting.to_string()
}

#[tool]
async fn tell(cx: Context) {
    cx.info("hello").await;
}

#[resource("news://today")]
async fn news() -> &'static str {
    "no news"
}

#[resource("news://{day}")]
async fn old_news(day: String) -> String {
    format!("what happened on {day}")
}

#[prompt]
async fn ask() -> &'static str {
    "What is new?"
}

fn server() -> Server {
    Server::builder("Test")
        .tool(tell)
        .resource(news)
        .resource(old_news)
        .build()
        .unwrap()
}

async fn served() -> (Served, ServerHandle) {
    let server = server();
    let handle = server.handle();
    (Served::new(server.into_router().unwrap()).await, handle)
}

/// What a server sends on a stream.
pub(crate) struct Events {
    response: Response,
    buffer: String,
}

impl Events {
    pub(crate) fn new(response: Response) -> Self {
        assert_eq!(response.status(), StatusCode::OK);
        let buffer = String::new();
        Self { response, buffer }
    }

    /// Opens the stream of a session.
    pub(crate) async fn of_session(served: &Served, session: &str) -> Self {
        let request = served
            .get("/mcp")
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session);
        Self::new(request.send().await.unwrap())
    }

    /// Subscribes by protocol 2026-07-28, and reads the acknowledgement.
    pub(crate) async fn subscribe(served: &Served, wanted: Value) -> (Self, Value) {
        let params = json!({ "notifications": wanted });
        let request = served.modern_request("subscriptions/listen", "", params);
        let mut events = Self::new(request.send().await.unwrap());
        let acknowledged = events.next().await.unwrap();
        assert_eq!(
            acknowledged["method"],
            "notifications/subscriptions/acknowledged"
        );
        let accepted = acknowledged["params"]["notifications"].clone();
        (events, accepted)
    }

    /// Waits for the next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((line, rest)) = self.buffer.split_once('\n') {
                let message = line.strip_prefix("data: ").map(str::to_owned);
                self.buffer = rest.to_owned();
                if let Some(message) = message.filter(|text| text.starts_with('{')) {
                    return Some(serde_json::from_str(&message).unwrap());
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.buffer += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// Waits for the next message, and returns its method and the URI that it is about.
    async fn heard(&mut self) -> (String, Value) {
        let message = self.next().await.unwrap();
        let method = message["method"].as_str().unwrap().to_owned();
        (method, message["params"]["uri"].clone())
    }
}

#[tokio::test]
async fn a_component_that_is_added_answers_and_is_gone_when_removed() {
    let server = server();
    let client = Client::connect(&server).await.unwrap();
    let handle = server.handle();
    let arguments = json!({ "a": 1, "b": 2 });
    client
        .call_tool_result("add", arguments.clone())
        .await
        .unwrap_err();
    handle.add_tool(add).unwrap();
    handle.add_prompt(ask).unwrap();
    client
        .call_tool_result("add", arguments.clone())
        .await
        .unwrap();
    assert_eq!(client.list_tools().await.unwrap()[0].name, "add");
    client.get_prompt("ask", Value::Null).await.unwrap();

    assert!(handle.remove_tool("add") && handle.remove_prompt("ask"));
    assert!(!handle.remove_tool("add") && !handle.remove_prompt("ask"));
    client.call_tool_result("add", arguments).await.unwrap_err();
    client.get_prompt("ask", Value::Null).await.unwrap_err();
    assert_eq!(client.list_tools().await.unwrap().len(), 1);

    assert!(handle.remove_resource("news://today"));
    let read = client.read_resource("news://today").await.unwrap();
    assert_eq!(read.contents.len(), 1, "the template is still there");
    assert!(handle.remove_resource("news://{day}"));
    client.read_resource("news://today").await.unwrap_err();
    handle.add_resource(news).unwrap();
    client.read_resource("news://today").await.unwrap();
}

#[tokio::test]
async fn a_component_that_cannot_be_added_changes_nothing() {
    let server = server();
    let handle = server.handle();
    handle.add_tool(add).unwrap();
    let error = handle.add_tool(add).unwrap_err();
    assert!(matches!(error, Error::Duplicate { .. }), "{error}");
    let error = handle.add_resource(old_news).unwrap_err();
    assert!(matches!(error, Error::Duplicate { .. }), "{error}");
    let error = handle.add_tool(greet).unwrap_err();
    assert!(matches!(error, Error::MissingState { .. }), "{error}");
    let client = Client::connect(&server).await.unwrap();
    assert_eq!(client.list_tools().await.unwrap(), handle.tools());
    let templates = client.list_resource_templates().await.unwrap();
    assert_eq!(templates, handle.resource_templates());
    assert_eq!(handle.tools().len(), 2);
    assert_eq!((handle.resources().len(), handle.prompts().len()), (1, 0));
}

#[tokio::test]
async fn what_is_disabled_is_hidden_until_it_is_enabled() {
    let server = server();
    let client = Client::connect(&server).await.unwrap();
    let handle = server.handle();
    handle.add_prompt(ask).unwrap();
    handle.disable_tool("tell").await.unwrap();
    handle.disable_prompt("ask").await.unwrap();
    handle.disable_resource("news://{day}").await.unwrap();
    assert!(client.list_tools().await.unwrap().is_empty());
    client
        .call_tool_result("tell", Value::Null)
        .await
        .unwrap_err();
    client.get_prompt("ask", Value::Null).await.unwrap_err();
    client.read_resource("news://yesterday").await.unwrap_err();
    client.read_resource("news://today").await.unwrap();

    handle.enable_tool("tell").await.unwrap();
    handle.enable_prompt("ask").await.unwrap();
    handle.enable_resource("news://{day}").await.unwrap();
    client.call_tool_result("tell", Value::Null).await.unwrap();
    client.get_prompt("ask", Value::Null).await.unwrap();
    client.read_resource("news://yesterday").await.unwrap();
}

#[tokio::test]
async fn what_is_disabled_stays_so_when_it_is_added() {
    let server = server();
    let handle = server.handle();
    let error = handle.disable_tool("add").await.unwrap_err();
    assert!(matches!(error, Error::NotStarted), "{error}");
    let client = Client::connect(&server).await.unwrap();
    handle.disable_tool("add").await.unwrap();
    handle.add_tool(add).unwrap();
    assert_eq!(client.list_tools().await.unwrap().len(), 1);
    let error = handle.add_tool(add).unwrap_err();
    assert!(matches!(error, Error::Duplicate { .. }), "{error}");
    handle.enable_tool("add").await.unwrap();
    assert_eq!(client.list_tools().await.unwrap().len(), 2);
}

#[tokio::test]
async fn clients_hear_of_what_is_disabled_and_enabled() {
    let server = server();
    let handle = server.handle();
    Client::connect(&server).await.unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    let wanted = json!({ "toolsListChanged": true, "promptsListChanged": true });
    let (mut events, _) = Events::subscribe(&served, wanted).await;
    handle.disable_tool("tell").await.unwrap();
    let tools = "notifications/tools/list_changed";
    assert_eq!(events.heard().await.0, tools);
    handle.disable_tool("tell").await.unwrap();
    handle.add_prompt(ask).unwrap();
    let (method, _) = events.heard().await;
    assert_eq!(method, "notifications/prompts/list_changed");
    handle.enable_tool("tell").await.unwrap();
    assert_eq!(events.heard().await.0, tools);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_disables_the_others_hide_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::builder(folder.path().join("data"));
    let store = store.shared().build().unwrap();
    let instance = || {
        let builder = Server::builder("Test").tool(tell).tool(add);
        builder.storage(store.clone()).build().unwrap()
    };
    let (one, other) = (instance(), instance());
    let _clients = (
        Client::connect(&one).await.unwrap(),
        Client::connect(&other).await.unwrap(),
    );
    let names = |server: &Server| -> Vec<_> {
        let tools = server.handle().tools().into_iter();
        tools.map(|tool| tool.name.into_owned()).collect()
    };
    one.handle().disable_tool("tell").await.unwrap();
    assert_eq!(names(&one), ["add"]);
    let hidden = async {
        while names(&other).len() == 2 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(10), hidden).await.unwrap();
    assert_eq!(names(&other), ["add"]);

    let late = instance();
    assert_eq!(names(&late), ["add", "tell"], "it has not started");
    let _client = Client::connect(&late).await.unwrap();
    assert_eq!(names(&late), ["add"]);
}

#[tokio::test]
async fn a_subscription_hears_what_it_wants_and_nothing_else() {
    let (served, handle) = served().await;
    let wanted = json!({
        "toolsListChanged": true,
        "resourceSubscriptions": ["news://today", "other://unknown"],
    });
    let (mut events, accepted) = Events::subscribe(&served, wanted).await;
    let expected = json!({
        "toolsListChanged": true,
        "resourceSubscriptions": ["news://today"],
    });
    assert_eq!(accepted, expected);

    handle.add_prompt(ask).unwrap();
    handle.resource_updated("news://yesterday");
    handle.remove_resource("nothing://there");
    handle.add_tool(add).unwrap();
    let message = events.next().await.unwrap();
    assert_eq!(message["method"], "notifications/tools/list_changed");
    let id = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(*id, json!(1));
    handle.resource_updated("news://today");
    let updated = "notifications/resources/updated".to_owned();
    assert_eq!(events.heard().await, (updated, json!("news://today")));
}

#[tokio::test]
async fn a_subscription_ends_in_order_when_the_server_stops() {
    let server = server();
    let served = Served::new(server.clone().into_router().unwrap()).await;
    let wanted = json!({ "promptsListChanged": true });
    let (mut events, _) = Events::subscribe(&served, wanted).await;
    let ((), ended) = tokio::join!(async { server.shutdown().await.unwrap() }, events.next());
    assert_eq!(ended.unwrap()["result"]["resultType"], "complete");
}

#[tokio::test]
async fn a_session_hears_of_lists_and_of_the_resources_it_watches() {
    let (served, handle) = served().await;
    let session = served.handshake().await;
    let mut events = Events::of_session(&served, &session).await;
    handle.add_tool(add).unwrap();
    let (method, _) = events.heard().await;
    assert_eq!(method, "notifications/tools/list_changed");

    let (today, yesterday) = ("news://today", "news://yesterday");
    for uri in [today, yesterday] {
        let wanted = json!({ "uri": uri });
        let answered = served.ask_in(&session, "resources/subscribe", wanted).await;
        assert_eq!(answered["result"], json!({}));
    }
    let updated = |uri: &str| ("notifications/resources/updated".to_owned(), json!(uri));
    handle.resource_updated("news://a-day");
    handle.resource_updated(today);
    assert_eq!(events.heard().await, updated(today));
    handle.add_prompt(ask).unwrap();
    let (method, _) = events.heard().await;
    assert_eq!(method, "notifications/prompts/list_changed");

    let unsubscribed = json!({ "uri": today });
    let answered = served.ask_in(&session, "resources/unsubscribe", unsubscribed);
    assert_eq!(answered.await["result"], json!({}));
    // Of two at once, the first by the alphabet is told first.
    handle.resource_updated(today);
    handle.resource_updated(yesterday);
    assert_eq!(events.heard().await, updated(yesterday));
}

#[tokio::test]
async fn a_session_cannot_watch_what_is_not_there() {
    let (served, _handle) = served().await;
    let session = served.handshake().await;
    let unknown = json!({ "uri": "other://unknown" });
    let answered = served.ask_in(&session, "resources/subscribe", unknown.clone());
    let error = answered.await["error"].take();
    assert_eq!(error["code"], -32002, "{error}");
    assert_eq!(error["data"], unknown);
}

#[tokio::test]
async fn a_method_that_the_protocol_has_dropped_is_unknown() {
    let (served, _handle) = served().await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
    ] {
        let complete = json!({ "uri": "news://today", "level": "info" });
        for (name, params) in [("", json!({})), ("news://today", complete)] {
            let request = served.modern_request(method, name, params);
            let (status, answer) = answer(request).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method}: {answer}");
            assert_eq!(answer["error"]["code"], -32601, "{method}: {answer}");
        }
    }
}

#[tokio::test]
async fn the_log_level_of_a_session_is_its_own() {
    let (served, handle) = served().await;
    let (quiet, other) = (served.handshake().await, served.handshake().await);
    let level = json!({ "level": "error" });
    let answered = served.ask_in(&quiet, "logging/setLevel", level).await;
    assert_eq!(answered["result"], json!({}));
    served.call_in(&quiet, "tell", json!({})).await;
    served.call_in(&other, "tell", json!({})).await;
    handle.add_tool(add).unwrap();
    for (session, first) in [(quiet, "tools/list_changed"), (other, "message")] {
        let mut events = Events::of_session(&served, &session).await;
        let (method, _) = events.heard().await;
        assert_eq!(method, format!("notifications/{first}"));
    }
}
