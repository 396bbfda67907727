//! Sessions that several instances of a server answer, on one store.

use std::future::pending;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_core::{KeyQuery, Store as _};
use kv_disk::DiskStore;
use mcp_server::middleware::{Message, Next};
use mcp_server::{
    Context, Progress, Server, ServerBuilder, ServerHandle, State, ToolError, resource, tool,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::changes::Events;
use crate::http_client::Served;

#[tool]
async fn tell(cx: Context) {
    cx.info("hello").await;
}

#[tool]
async fn count(cx: Context) -> Result<u64, ToolError> {
    let count = |count: Option<u64>| count.unwrap_or_default() + 1;
    Ok(cx.session_state().update("count", count).await?)
}

#[tool]
async fn client(cx: Context) -> String {
    cx.client_info().unwrap().name.clone()
}

#[tool]
async fn ask_name(cx: Context, whose: String) -> Result<String, ToolError> {
    let name = cx.elicit::<String>(format!("The name of {whose}?")).await?;
    Ok(format!("{whose}: {:?}", name.accepted()))
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tool]
async fn wait(dropped: State<Arc<Notify>>) {
    let _dropped = Dropped(Arc::clone(&dropped));
    pending::<()>().await;
}

/// What a call waits for, and how often one was made.
#[derive(Clone, Default)]
struct Gate {
    permits: Arc<Notify>,
    calls: Arc<AtomicUsize>,
}

#[tool]
async fn pass(cx: Context, gate: State<Gate>) -> usize {
    let call = gate.calls.fetch_add(1, Ordering::SeqCst) + 1;
    cx.report_progress(Progress::new(1.0).message("half")).await;
    gate.permits.notified().await;
    call
}

#[resource("news://today")]
async fn news() -> &'static str {
    "no news"
}

fn builder(folder: &Path) -> ServerBuilder {
    Server::builder("Test")
        .storage(
            DiskStore::builder(folder.join("data"))
                .shared()
                .build()
                .unwrap(),
        )
        .tool(tell)
        .tool(count)
        .tool(client)
        .tool(ask_name)
        .resource(news)
}

async fn serve(builder: ServerBuilder) -> (Served, ServerHandle) {
    let server = builder.build().unwrap();
    let handle = server.handle();
    (Served::new(server.into_router().unwrap()).await, handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_answer_a_session_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = serve(builder(folder.path())).await;
    let (second, _) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    for turn in 1..=10 {
        let served = if turn % 2 == 0 { &first } else { &second };
        let counted = served.call_in(&session, "count", json!({})).await;
        assert_eq!(counted["structuredContent"]["result"], turn, "{counted}");
    }
    let known = second.call_in(&session, "client", json!({})).await;
    assert_eq!(known["structuredContent"]["result"], "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_set_holds_on_all_instances() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = serve(builder(folder.path())).await;
    let (second, handle) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    let uri = json!({ "uri": "news://today" });
    first
        .ask_in(&session, "resources/subscribe", uri.clone())
        .await;
    let mut events = Events::of_session(&second, &session).await;
    handle.resource_updated("news://today");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");

    second.call_in(&session, "tell", json!({})).await;
    let told = events.next().await.unwrap();
    assert_eq!(told["params"]["data"], "hello", "{told}");

    // What is set now is known there with the next request.
    let level = json!({ "level": "error" });
    first.ask_in(&session, "logging/setLevel", level).await;
    second.call_in(&session, "tell", json!({})).await;
    handle.resource_updated("news://today");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");

    first.ask_in(&session, "resources/unsubscribe", uri).await;
    second.call_in(&session, "count", json!({})).await;
    handle.resource_updated("news://today");
    handle.remove_tool("tell");
    let told = events.next().await.unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
}

/// Begins a call in a session.
async fn begin(served: &Served, session: &str, id: u64, tool: &str, arguments: Value) -> Events {
    let params = json!({ "name": tool, "arguments": arguments });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    let request = served.post().header("mcp-session-id", session).json(&call);
    Events::new(request.send().await.unwrap())
}

/// Sends what has no answer.
async fn send(served: &Served, session: &str, message: &Value) {
    let request = served.post().header("mcp-session-id", session);
    let response = request.json(message).send().await.unwrap();
    assert_eq!(response.status(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_find_the_instance_that_has_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = serve(builder(folder.path())).await;
    let (second, _) = serve(builder(folder.path())).await;
    let instances = [&first, &second];
    let session = first.handshake_with(json!({ "elicitation": {} })).await;
    let mut calls = Vec::new();
    for turn in 0..6 {
        let served = instances[turn % 2];
        let arguments = json!({ "whose": format!("number {turn}") });
        let id = 100 + u64::try_from(turn).unwrap();
        let mut events = begin(served, &session, id, "ask_name", arguments).await;
        let asked = events.next().await.unwrap();
        assert_eq!(asked["method"], "elicitation/create", "{asked}");
        calls.push((turn, events, asked));
    }
    for (turn, mut events, asked) in calls {
        // Every other answer goes to the instance that has not asked.
        let served = instances[(turn / 2) % 2];
        let name = json!({ "value": format!("name {turn}") });
        let answer = json!({
            "jsonrpc": "2.0", "id": asked["id"],
            "result": { "action": "accept", "content": name },
        });
        send(served, &session, &answer).await;
        let result = events.next().await.unwrap();
        let said = &result["result"]["structuredContent"]["result"];
        let expected = format!("number {turn}: Some(\"name {turn}\")");
        assert_eq!(said, &expected, "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_by_a_message_to_another_instance() {
    let folder = tempfile::tempdir().unwrap();
    let dropped = Arc::new(Notify::new());
    let waiting = builder(folder.path())
        .with_state(Arc::clone(&dropped))
        .tool(wait);
    let (first, _) = serve(waiting).await;
    let (second, _) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    let _call = begin(&first, &session, 7, "wait", json!({})).await;
    let other = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 },
    });
    send(&second, &session, &other).await;
    timeout(Duration::from_secs(10), dropped.notified())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_on_one_instance_ends_the_streams_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let dropped = Arc::new(Notify::new());
    let waiting = builder(folder.path())
        .with_state(Arc::clone(&dropped))
        .tool(wait);
    let (first, _) = serve(waiting).await;
    let (second, _) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    let mut stream = Events::of_session(&first, &session).await;
    let mut call = begin(&first, &session, 7, "wait", json!({})).await;
    let deletion = reqwest::Client::new().delete(format!("http://{}/mcp", second.address));
    let deleted = deletion
        .header("mcp-session-id", &session)
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), 204);
    let ended = async {
        assert_eq!(stream.next().await, None);
        assert_eq!(call.next().await, None);
        dropped.notified().await;
    };
    timeout(Duration::from_secs(10), ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_subscribed_hears_of_changes_on_other_instances() {
    let folder = tempfile::tempdir().unwrap();
    let (first, handle) = serve(builder(folder.path())).await;
    let (second, _) = serve(builder(folder.path())).await;
    // An instance hears others as soon as it has started.
    for served in [&first, &second] {
        served.call("count", json!({})).await;
    }
    let wanted = json!({ "resourceSubscriptions": ["news://today"] });
    let (mut events, _) = Events::subscribe(&second, wanted).await;
    handle.resource_updated("news://today");
    let told = timeout(Duration::from_secs(10), events.next())
        .await
        .unwrap();
    assert_eq!(told.unwrap()["method"], "notifications/resources/updated");
}

/// Begins a call of `pass` in a session, and loses the connection after the first event, whose id is
/// returned.
async fn broken_call(served: &Served, session: &str) -> String {
    let params = json!({ "name": "pass", "arguments": {}, "_meta": { "progressToken": 5 } });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    let request = served.post().header("mcp-session-id", session).json(&call);
    let mut response = request.send().await.unwrap();
    let mut text = String::new();
    while !text.contains("\n\n") {
        let piece = response.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let id = text.lines().find_map(|line| line.strip_prefix("id: "));
    id.unwrap().to_owned()
}

/// Comes back for the rest of a stream.
async fn resume(served: &Served, session: &str, event: &str) -> Events {
    let request = served
        .get("/mcp")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session)
        .header("last-event-id", event);
    Events::new(request.send().await.unwrap())
}

async fn events_in(folder: &Path) -> usize {
    let store = DiskStore::builder(folder.join("data"))
        .shared()
        .build()
        .unwrap();
    let page = store.keys("mcp_events", KeyQuery::new()).await.unwrap();
    page.keys.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_ends_while_its_client_is_away_is_answered_on_any_instance() {
    for (is_other, opens_late) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let gate = Gate::default();
        let passing = || builder(folder.path()).with_state(gate.clone()).tool(pass);
        let (first, _) = serve(passing()).await;
        let (second, _) = serve(passing()).await;
        let session = first.handshake().await;
        let event = broken_call(&first, &session).await;
        while gate.calls.load(Ordering::SeqCst) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
        // The server notices that the client is gone.
        sleep(Duration::from_millis(300)).await;
        let open_gate = || async {
            gate.permits.notify_one();
            sleep(Duration::from_millis(300)).await;
        };
        if !opens_late {
            open_gate().await;
        }
        let back = if is_other { &second } else { &first };
        let mut events = resume(back, &session, &event).await;
        let progress = timeout(Duration::from_secs(10), events.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(progress["params"]["message"], "half", "{progress}");
        if opens_late {
            open_gate().await;
        }
        let answer = timeout(Duration::from_secs(10), events.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer["id"], 7, "{answer}");
        assert_eq!(
            answer["result"]["structuredContent"]["result"], 1,
            "{answer}"
        );
        assert_eq!(events.next().await, None);
        assert_eq!(gate.calls.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_read_to_its_end_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let (served, _) = serve(builder(folder.path()).with_state(gate.clone()).tool(pass)).await;
    let session = served.handshake().await;
    for number in 0..10 {
        let mut events = begin(&served, &session, number, "pass", json!({})).await;
        gate.permits.notify_one();
        assert_eq!(events.next().await.unwrap()["id"], number);
        assert_eq!(events.next().await, None);
    }
    assert_eq!(events_in(folder.path()).await, 0);
    broken_call(&served, &session).await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(events_in(folder.path()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_session_goes_on_on_another_instance() {
    let folder = tempfile::tempdir().unwrap();
    let (first, one) = serve(builder(folder.path())).await;
    let (second, other) = serve(builder(folder.path())).await;
    let session = first.handshake().await;
    let mut events = Events::of_session(&first, &session).await;
    one.remove_tool("tell");
    events.next().await.unwrap();
    drop(events);
    // An id of the other instance, one that rmcp makes, and one of nobody.
    for event in ["3.1.0000000000000000", "0", "x"] {
        let mut events = resume(&second, &session, event).await;
        sleep(Duration::from_millis(100)).await;
        other.add_tool(tell).unwrap_or_default();
        other.remove_tool("tell");
        let told = timeout(Duration::from_secs(10), events.next())
            .await
            .unwrap();
        assert_eq!(told.unwrap()["method"], "notifications/tools/list_changed");
        drop(events);
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_resumes_the_stream_of_another_session() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let passing = || builder(folder.path()).with_state(gate.clone()).tool(pass);
    let (first, _) = serve(passing()).await;
    let (second, _) = serve(passing()).await;
    let session = first.handshake().await;
    let event = broken_call(&first, &session).await;
    sleep(Duration::from_millis(300)).await;
    gate.permits.notify_one();
    let other = first.handshake().await;
    for served in [&first, &second] {
        let mut events = resume(served, &other, &event).await;
        let told = timeout(Duration::from_secs(5), events.next())
            .await
            .unwrap();
        assert_eq!(told, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_does_not_see_that_a_session_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watched = || {
        let seen = Arc::clone(&seen);
        builder(folder.path()).middleware(move |message: Message, next: Next| {
            seen.lock().unwrap().push(message.method().to_owned());
            next.run(message)
        })
    };
    let (first, _) = serve(watched()).await;
    let (second, _) = serve(watched()).await;
    let session = first.handshake().await;
    for served in [&first, &second] {
        served.call_in(&session, "count", json!({})).await;
    }
    let mut seen = seen.lock().unwrap().clone();
    // A notification is handled beside the requests that follow it.
    seen.sort_unstable();
    let expected = [
        "initialize",
        "notifications/initialized",
        "tools/call",
        "tools/call",
    ];
    assert_eq!(seen, expected);
}
