//! Answers from the cache: which, whose, and until when.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kv_core::{ManualClock, Timestamp};
use kv_disk::DiskStore;
use kv_memory::MemoryStore;
use mcp_server::axum::Extension;
use mcp_server::middleware::{CacheHandle, CachedMethod, ResponseCaching};
use mcp_server::{
    Client, Context, Principal, Server, ServerBuilder, State, ToolError, prompt, resource, tool,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::changes::Events;
use crate::http_client::Served;

/// How often things were made.
#[derive(Clone, Default)]
struct Made(Arc<AtomicUsize>);

impl Made {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tool(annotations(read_only), tags("news"))]
async fn look(made: State<Made>, at: Value) -> String {
    format!("{} of {at}", made.next())
}

#[tool]
async fn act(made: State<Made>) -> usize {
    made.next()
}

#[tool(cache = Duration::from_secs(60))]
async fn remember(made: State<Made>) -> usize {
    made.next()
}

#[tool(annotations(read_only), cache = Duration::ZERO)]
async fn never(made: State<Made>) -> usize {
    made.next()
}

#[tool(annotations(read_only))]
async fn fail(made: State<Made>) -> Result<(), ToolError> {
    Err(ToolError::new(format!("failed {}", made.next())))
}

#[tool(annotations(read_only))]
async fn mine(cx: Context, made: State<Made>) -> Result<String, ToolError> {
    let number = made.next();
    let state = cx.state();
    let set = state.update("mine", |mine: Option<usize>| mine.unwrap_or(number));
    Ok(format!("{}", set.await?))
}

#[tool(annotations(read_only))]
async fn agent(cx: Context, made: State<Made>) -> String {
    made.next();
    let headers = cx.headers().unwrap();
    headers["user-agent"].to_str().unwrap().to_owned()
}

#[tool(annotations(read_only))]
async fn asks(cx: Context) -> Result<String, ToolError> {
    let name = cx.elicit::<String>("Your name?").await?;
    Ok(format!("{:?}", name.accepted()))
}

#[tool(annotations(read_only))]
async fn who(cx: Context, made: State<Made>) -> String {
    made.next();
    tokio::task::yield_now().await;
    cx.principal().unwrap().subject.clone().unwrap()
}

/// Waits until it may go on.
#[derive(Clone, Default)]
struct Gate(Arc<Notify>);

#[tool(annotations(read_only))]
async fn slow(made: State<Made>, gate: State<Gate>) -> usize {
    let number = made.next();
    let opened = gate.0.notified();
    WAITING.fetch_add(1, Ordering::SeqCst);
    opened.await;
    number
}

#[resource("news://{day}")]
async fn daily(made: State<Made>, day: String) -> String {
    format!("{day} {}", made.next())
}

#[resource("picture://one")]
async fn picture(made: State<Made>) -> Vec<u8> {
    made.next();
    vec![0, 255]
}

#[prompt]
async fn ask(made: State<Made>, what: String) -> String {
    format!("{what} {}", made.next())
}

/// The gate of all tests: each is a process of its own.
static GATE: std::sync::LazyLock<Gate> = std::sync::LazyLock::new(Gate::default);

/// How many calls have come to the gate.
static WAITING: AtomicUsize = AtomicUsize::new(0);

fn builder(caching: ResponseCaching) -> (ServerBuilder, Made, CacheHandle) {
    let (made, cache) = (Made::default(), caching.handle());
    let builder = Server::builder("Test")
        .with_state(made.clone())
        .with_state(GATE.clone())
        .with_state(cache.clone())
        .middleware(caching)
        .tool(look)
        .tool(act)
        .tool(remember)
        .tool(never)
        .tool(fail)
        .tool(mine)
        .tool(agent)
        .tool(asks)
        .tool(who)
        .tool(slow)
        .resource(daily)
        .resource(picture)
        .prompt(ask);
    (builder, made, cache)
}

async fn connect(caching: ResponseCaching) -> (Client, Server, Made, CacheHandle) {
    let (builder, made, cache) = builder(caching);
    let server = builder.build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    (client, server, made, cache)
}

/// How often a tool runs in three calls.
async fn runs(client: &Client, made: &Made, tool: &str) -> usize {
    let before = made.count();
    for _ in 0..3 {
        let arguments = if tool == "look" {
            json!({ "at": 1 })
        } else {
            json!({})
        };
        let _ = client.call_tool_result(tool, arguments).await;
    }
    made.count() - before
}

#[tokio::test]
async fn only_tools_that_change_nothing_are_cached_unless_they_say_so() {
    let (client, _server, made, _) = connect(ResponseCaching::new()).await;
    for (tool, expected) in [
        ("look", 1),
        ("remember", 1),
        ("act", 3),
        ("never", 3),
        ("fail", 3),
    ] {
        assert_eq!(runs(&client, &made, tool).await, expected, "{tool}");
    }
}

#[tokio::test]
async fn the_tools_to_cache_can_be_named() {
    let all = || ResponseCaching::new().all_tools();
    for (caching, cached) in [
        (all(), vec!["look", "remember", "act"]),
        (all().except_tools(["act"]), vec!["look", "remember"]),
        (ResponseCaching::new().only_tools(["act"]), vec!["act"]),
        (
            ResponseCaching::new().without(CachedMethod::CallTool),
            vec![],
        ),
    ] {
        let (client, _server, made, _) = connect(caching).await;
        for tool in ["look", "remember", "act", "never"] {
            let expected = if cached.contains(&tool) { 1 } else { 3 };
            assert_eq!(runs(&client, &made, tool).await, expected, "{tool}");
        }
    }
}

#[tokio::test]
async fn equal_arguments_have_one_answer_and_others_have_others() {
    let (client, _server, made, _) = connect(ResponseCaching::new()).await;
    let looked = async |at: Value| {
        let arguments = json!({ "at": at });
        client.call_tool::<String>("look", arguments).await.unwrap()
    };
    let first = looked(json!({ "a": [1, { "c": 2, "b": 3 }], "d": null })).await;
    let again = looked(json!({ "d": null, "a": [1, { "b": 3, "c": 2 }] })).await;
    assert_eq!(first, again);
    for other in [
        json!(1),
        json!("1"),
        json!([1]),
        json!({ "a": [{ "b": 3, "c": 2 }, 1] }),
    ] {
        let before = made.count();
        looked(other).await;
        assert_eq!(made.count(), before + 1);
    }
}

#[tokio::test]
async fn resources_and_prompts_come_back_as_they_were() {
    let (client, server, made, cache) = connect(ResponseCaching::new()).await;
    for uri in ["news://monday", "picture://one"] {
        let first = client.read_resource(uri).await.unwrap();
        // The first client keeps what it has read.
        let other = Client::connect(&server).await.unwrap();
        let again = other.read_resource(uri).await.unwrap();
        assert_eq!(again.contents, first.contents);
    }
    let arguments = json!({ "what": "how" });
    let first = client.get_prompt("ask", &arguments).await.unwrap();
    let again = client.get_prompt("ask", &arguments).await.unwrap();
    assert_eq!(json!(again), json!(first));
    assert_eq!(made.count(), 3);
    client.read_resource("news://tuesday").await.unwrap();
    assert_eq!(made.count(), 4);
    let reads = *cache.statistics().of(CachedMethod::ReadResource);
    assert_eq!((reads.hits, reads.misses, reads.stored), (2, 3, 3));
}

#[tokio::test]
async fn what_a_tool_makes_of_its_session_is_for_that_session() {
    let (builder, made, _) = builder(ResponseCaching::new());
    let served = Served::new(builder.build().unwrap().into_router().unwrap()).await;
    let (first, second) = (served.handshake().await, served.handshake().await);
    let mut said = BTreeMap::new();
    for session in [&first, &second, &first, &second] {
        let answer = served.call_in(session, "mine", json!({})).await;
        let number = answer["structuredContent"]["result"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            said.entry(session).or_insert_with(|| number.clone()),
            &number
        );
    }
    assert_ne!(said[&first], said[&second]);
    assert_eq!(made.count(), 4, "nothing is cached");
}

#[tokio::test]
async fn what_a_tool_makes_of_headers_is_for_that_request() {
    let (builder, made, _) = builder(ResponseCaching::new());
    let served = Served::new(builder.build().unwrap().into_router().unwrap()).await;
    for name in ["one", "other", "one"] {
        let params = json!({ "name": "agent", "arguments": {} });
        let headers = [("user-agent".parse().unwrap(), name.parse().unwrap())];
        let answer = served
            .modern_with("tools/call", "agent", params, headers.into_iter().collect())
            .await;
        assert_eq!(answer.1["result"]["structuredContent"]["result"], name);
    }
    assert_eq!(made.count(), 3);
}

#[tokio::test]
async fn a_question_is_asked_of_each_caller() {
    let (builder, _, _) = builder(ResponseCaching::new());
    let served = Served::new(builder.build().unwrap().into_router().unwrap()).await;
    for name in ["ada", "bob"] {
        let asked = served.call("asks", json!({})).await;
        assert_eq!(asked["resultType"], "input_required", "{asked}");
        let (key, _) = asked["inputRequests"]
            .as_object()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        let answer = json!({ "action": "accept", "content": { "value": name } });
        let params = json!({
            "name": "asks", "arguments": {}, "requestState": asked["requestState"],
            "inputResponses": { key: answer },
        });
        let said = served.modern("tools/call", "asks", params).await;
        let expected = format!("Some(\"{name}\")");
        assert_eq!(
            said["result"]["structuredContent"]["result"], expected,
            "{said}"
        );
    }
    // In a session it is asked while the call goes on, on the stream of the call.
    let session = served.handshake_with(json!({ "elicitation": {} })).await;
    for name in ["ada", "bob"] {
        let call = json!({
            "jsonrpc": "2.0", "id": name, "method": "tools/call",
            "params": { "name": "asks", "arguments": {} },
        });
        let request = served.post().header("mcp-session-id", &session).json(&call);
        let mut events = Events::new(request.send().await.unwrap());
        let asked = events.next().await.unwrap();
        let answer = json!({
            "jsonrpc": "2.0", "id": asked["id"],
            "result": { "action": "accept", "content": { "value": name } },
        });
        let request = served.post().header("mcp-session-id", &session);
        request.json(&answer).send().await.unwrap();
        let said = events.next().await.unwrap();
        let expected = format!("Some(\"{name}\")");
        assert_eq!(
            said["result"]["structuredContent"]["result"], expected,
            "{said}"
        );
    }
}

#[tokio::test]
async fn nobody_gets_what_was_made_for_another() {
    let (builder, made, _) = builder(ResponseCaching::new());
    let server = builder.build().unwrap();
    let mut callers = Vec::new();
    for name in ["ada", "bob"] {
        for scopes in [["read"], ["write"]] {
            let user = Principal::user("https://id.example", name).with_scopes(scopes);
            let router = server.clone().into_router().unwrap();
            callers.push((name, Served::new(router.layer(Extension(user))).await));
        }
    }
    let callers = Arc::new(callers);
    let mut calling = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let callers = Arc::clone(&callers);
        calling.spawn(async move {
            for _ in 0..1_000 {
                let (name, served) = &callers[fastrand::usize(..callers.len())];
                let said = served.call("who", json!({})).await;
                assert_eq!(said["structuredContent"]["result"], *name);
            }
        });
    }
    calling.join_all().await;
    // Other scopes may see other things.
    assert_eq!(made.count(), 4);
}

/// Waits until so many calls have come to the gate.
async fn at_gate(calls: usize) {
    while WAITING.load(Ordering::SeqCst) < calls {
        sleep(Duration::from_millis(5)).await;
    }
}

/// Lets all that wait go on, once so many calls have come, and others have had time to join them.
async fn open_gate(calls: usize) {
    at_gate(calls).await;
    sleep(Duration::from_millis(300)).await;
    WAITING.store(0, Ordering::SeqCst);
    GATE.0.notify_waiters();
}

#[tokio::test]
async fn equal_calls_at_the_same_time_are_one() {
    let (client, _server, made, cache) = connect(ResponseCaching::new()).await;
    let calls = (0..20).map(|_| client.call_tool::<usize>("slow", json!({})));
    let calls = futures_util::future::join_all(calls);
    let (answers, ()) = tokio::join!(calls, open_gate(1));
    assert!(answers.into_iter().all(|answer| answer.unwrap() == 1));
    assert_eq!(made.count(), 1);
    let calls = *cache.statistics().of(CachedMethod::CallTool);
    assert_eq!((calls.misses, calls.joined), (1, 19));
}

/// Two instances of a server on one store, as two processes have it.
async fn two(folder: &Path) -> [(Served, Made, CacheHandle); 2] {
    let instance = async || {
        let store = DiskStore::builder(folder.join("data")).shared();
        let (builder, made, cache) = builder(ResponseCaching::new());
        let server = builder.storage(store.build().unwrap()).build().unwrap();
        let served = Served::new(server.into_router().unwrap()).await;
        // It has started when it has answered.
        served.call("act", json!({})).await;
        made.0.store(0, Ordering::SeqCst);
        (served, made, cache)
    };
    [instance().await, instance().await]
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_calls_on_two_instances_are_one() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path()).await;
    let calls = (0..20).map(|number| {
        let served = if number % 2 == 0 { &first.0 } else { &second.0 };
        served.call("slow", json!({}))
    });
    let calls = futures_util::future::join_all(calls);
    let (answers, ()) = tokio::join!(calls, open_gate(1));
    for answer in answers {
        assert_eq!(answer["structuredContent"]["result"], 1, "{answer}");
    }
    assert_eq!(first.1.count() + second.1.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_when_the_client_that_has_made_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = two(folder.path()).await;
    let leader = first.0.call("slow", json!({}));
    tokio::select! {
        answer = leader => panic!("it is answered: {answer}"),
        () = at_gate(1) => {}
    }
    let followers = (0..4).map(|number| {
        let served = if number % 2 == 0 { &first.0 } else { &second.0 };
        served.call("slow", json!({}))
    });
    let followers = futures_util::future::join_all(followers);
    let (answers, ()) = tokio::join!(followers, open_gate(1));
    for answer in answers {
        assert_eq!(answer["structuredContent"]["result"], 1, "{answer}");
    }
    assert_eq!((first.1.count(), second.1.count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_on_one_instance_is_made_again_on_all() {
    let folder = tempfile::tempdir().unwrap();
    let instances = two(folder.path()).await;
    let [first, second] = &instances;
    let looked = async |served: &Served| served.call("look", json!({ "at": 1 })).await;
    let made = || first.1.count() + second.1.count();
    looked(&first.0).await;
    looked(&second.0).await;
    assert_eq!(made(), 1);
    first.2.invalidate_tool("other").await.unwrap();
    first.2.invalidate_tag("other").await.unwrap();
    first.2.invalidate_resource("news://monday").await.unwrap();
    looked(&first.0).await;
    assert_eq!(made(), 1);
    for turn in 0..3 {
        match turn {
            0 => first.2.invalidate_tool("look").await.unwrap(),
            1 => first.2.invalidate_tag("news").await.unwrap(),
            _ => first.2.invalidate_all().await.unwrap(),
        }
        let heard = async {
            // The other one gives the old answer until it has heard.
            while made() < turn + 2 {
                looked(&second.0).await;
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(10), heard).await.unwrap();
        looked(&first.0).await;
        assert_eq!(made(), turn + 2);
    }
}

#[tokio::test]
async fn what_is_being_made_when_it_is_taken_out_is_not_kept() {
    let (client, _server, made, cache) = connect(ResponseCaching::new()).await;
    let call = || client.call_tool::<usize>("slow", json!({}));
    let taking = async {
        at_gate(1).await;
        cache.invalidate_tool("slow").await.unwrap();
        open_gate(1).await;
    };
    assert_eq!(tokio::join!(call(), taking).0.unwrap(), 1);
    assert_eq!(tokio::join!(call(), open_gate(1)).0.unwrap(), 2);
    assert_eq!(call().await.unwrap(), 2);
    assert_eq!(made.count(), 2);
}

#[tokio::test]
async fn who_comes_after_it_was_taken_out_does_not_wait_for_what_was_begun_before() {
    let (client, _server, _, cache) = connect(ResponseCaching::new()).await;
    let call = || client.call_tool::<usize>("slow", json!({}));
    let late = async {
        at_gate(1).await;
        cache.invalidate_tool("slow").await.unwrap();
        call().await.unwrap()
    };
    let (first, late, ()) = tokio::join!(call(), late, open_gate(2));
    assert_eq!((first.unwrap(), late), (1, 2));
    assert_eq!(call().await.unwrap(), 2);
}

#[tokio::test]
async fn one_caller_can_be_taken_out() {
    let (builder, made, cache) = builder(ResponseCaching::new());
    let server = builder.build().unwrap();
    let mut callers = Vec::new();
    for name in ["ada", "bob"] {
        let user = Principal::user("https://id.example", name);
        let router = server.clone().into_router().unwrap();
        let served = Served::new(router.layer(Extension(user.clone()))).await;
        served.call("who", json!({})).await;
        callers.push((user, served));
    }
    cache.invalidate_principal(&callers[0].0).await.unwrap();
    callers[1].1.call("who", json!({})).await;
    assert_eq!(made.count(), 2);
    callers[0].1.call("who", json!({})).await;
    assert_eq!(made.count(), 3);
}

#[tokio::test]
async fn a_resource_that_has_changed_is_read_again_by_who_is_told() {
    let (builder, made, _) = builder(ResponseCaching::new());
    let server = builder.build().unwrap();
    let handle = server.handle();
    let served = Served::new(server.into_router().unwrap()).await;
    let read = async |uri: &str| {
        served
            .modern("resources/read", uri, json!({ "uri": uri }))
            .await
    };
    read("news://monday").await;
    read("news://tuesday").await;
    let wanted = json!({ "resourceSubscriptions": ["news://monday"] });
    let (mut events, _) = Events::subscribe(&served, wanted).await;
    for turn in 0..5 {
        handle.resource_updated("news://monday");
        events.next().await.unwrap();
        let news = read("news://monday").await;
        let text = format!("monday {}", turn + 3);
        assert_eq!(news["result"]["contents"][0]["text"], text, "{news}");
    }
    read("news://tuesday").await;
    assert_eq!(made.count(), 7);
}

#[tokio::test]
async fn lists_are_those_of_the_components_that_there_are() {
    let (client, server, _, cache) = connect(ResponseCaching::new()).await;
    for _ in 0..2 {
        assert_eq!(client.list_tools().await.unwrap().len(), 10);
        assert_eq!(client.list_prompts().await.unwrap().len(), 1);
    }
    server.handle().remove_tool("act");
    server.handle().disable_tool("look").await.unwrap();
    server.handle().remove_prompt("ask");
    for _ in 0..2 {
        assert_eq!(client.list_tools().await.unwrap().len(), 8);
        assert_eq!(client.list_prompts().await.unwrap().len(), 0);
    }
    let lists = *cache.statistics().of(CachedMethod::ListPrompts);
    assert_eq!(
        (lists.hits, lists.misses),
        (2, 2),
        "an empty list is one too"
    );
}

#[tokio::test]
async fn what_is_not_there_any_more_is_not_answered() {
    let (client, server, _, _) = connect(ResponseCaching::new()).await;
    let looked = || client.call_tool::<String>("look", json!({ "at": 1 }));
    looked().await.unwrap();
    server.handle().disable_tool("look").await.unwrap();
    looked().await.unwrap_err();
    server.handle().enable_tool("look").await.unwrap();
    assert_eq!(looked().await.unwrap(), "1 of 1");
    server.handle().remove_resource("news://{day}");
    client.read_resource("news://monday").await.unwrap_err();
}

/// A cache whose time stands still until it is moved.
fn timed(caching: ResponseCaching) -> (ResponseCaching, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    (caching.storage(store), clock)
}

#[tokio::test]
async fn an_answer_is_good_for_its_time() {
    let caching = ResponseCaching::new().ttl(CachedMethod::CallTool, Duration::from_secs(100));
    let (caching, clock) = timed(caching);
    let (client, _server, made, _) = connect(caching).await;
    for (seconds, calls, others) in [(59, 1, 1), (1, 1, 2), (40, 2, 2)] {
        client
            .call_tool::<String>("look", json!({ "at": 1 }))
            .await
            .unwrap();
        client
            .call_tool::<usize>("remember", json!({}))
            .await
            .unwrap();
        clock.advance(Duration::from_secs(seconds));
        let before = made.count();
        client
            .call_tool::<String>("look", json!({ "at": 1 }))
            .await
            .unwrap();
        client
            .call_tool::<usize>("remember", json!({}))
            .await
            .unwrap();
        assert_eq!(made.count(), calls + others, "{before}");
    }
}

#[tokio::test]
async fn an_old_answer_is_given_while_a_new_one_is_made() {
    let caching = ResponseCaching::new().stale_while_revalidate(Duration::from_secs(60));
    let (caching, clock) = timed(caching);
    let (client, _server, made, cache) = connect(caching).await;
    let looked = || client.call_tool::<String>("look", json!({ "at": 1 }));
    assert_eq!(looked().await.unwrap(), "1 of 1");
    clock.advance(Duration::from_secs(3600 + 30));
    assert_eq!(looked().await.unwrap(), "1 of 1");
    let renewed = async {
        while looked().await.unwrap() != "2 of 1" {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), renewed).await.unwrap();
    assert_eq!(made.count(), 2);
    assert!(cache.statistics().of(CachedMethod::CallTool).stale_hits >= 1);
    clock.advance(Duration::from_secs(3600 + 61));
    assert_eq!(looked().await.unwrap(), "3 of 1");
}

#[tokio::test]
async fn clients_are_told_for_how_long_they_may_keep_what_they_read() {
    let (caching, clock) = timed(ResponseCaching::new());
    let (builder, _, _) = builder(caching);
    let served = Served::new(builder.build().unwrap().into_router().unwrap()).await;
    for ttl in [3_600_000, 3_599_000] {
        let read = json!({ "uri": "news://monday" });
        let news = served.modern("resources/read", "news://monday", read).await;
        assert_eq!(news["result"]["ttlMs"], ttl, "{news}");
        assert_eq!(news["result"]["cacheScope"], "private");
        let list = served.modern("tools/list", "", json!({})).await;
        assert_eq!(list["result"]["ttlMs"], 0, "{list}");
        clock.advance(Duration::from_secs(1));
    }
    let session = served.handshake().await;
    for (method, params) in [
        ("resources/read", json!({ "uri": "news://monday" })),
        ("tools/list", json!({})),
    ] {
        let answer = served.ask_in(&session, method, params).await;
        assert!(
            answer["result"].is_object() && answer["result"]["ttlMs"].is_null(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_kept() {
    let (client, _server, made, cache) = connect(ResponseCaching::new().max_item_bytes(500)).await;
    for _ in 0..2 {
        client
            .call_tool::<String>("look", json!({ "at": "x".repeat(1_000) }))
            .await
            .unwrap();
        client
            .call_tool::<String>("look", json!({ "at": 1 }))
            .await
            .unwrap();
    }
    assert_eq!(made.count(), 3);
    let calls = *cache.statistics().of(CachedMethod::CallTool);
    assert_eq!((calls.not_stored, calls.stored), (2, 1));
}

#[tokio::test]
async fn without_its_store_everything_is_made_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let store = DiskStore::new(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    let (client, _server, made, cache) = connect(ResponseCaching::new().storage(store)).await;
    assert_eq!(runs(&client, &made, "look").await, 3);
    assert!(cache.statistics().of(CachedMethod::CallTool).errors >= 3);
}

#[tokio::test]
async fn all_can_have_what_was_made_for_any() {
    let (builder, made, _) = builder(ResponseCaching::new().by(|_cx| String::new()));
    let server = builder.build().unwrap();
    for name in ["ada", "bob"] {
        let user = Principal::user("https://id.example", name);
        let router = server.clone().into_router().unwrap();
        let served = Served::new(router.layer(Extension(user))).await;
        let said = served.call("look", json!({ "at": 1 })).await;
        assert_eq!(said["structuredContent"]["result"], "1 of 1");
    }
    assert_eq!(made.count(), 1);
}

#[tokio::test]
async fn servers_on_one_store_do_not_answer_for_each_other() {
    let store = MemoryStore::new();
    for (name, version) in [("One", "1"), ("One", "2"), ("Other", "1")] {
        let made = Made::default();
        let server = Server::builder(name)
            .version(version)
            .storage(store.clone())
            .with_state(made.clone())
            .middleware(ResponseCaching::new())
            .tool(look);
        let client = Client::connect(&server.build().unwrap()).await.unwrap();
        client
            .call_tool::<String>("look", json!({ "at": 1 }))
            .await
            .unwrap();
        assert_eq!(made.count(), 1, "{name} {version}");
    }
}
