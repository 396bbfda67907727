//! Many calls over HTTP at once, of clients that leave, and of clients whose ids are the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mcp_server::{Context, Server, tool};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::http_client::Served;

/// How many calls are dropped, and how many of them run at once.
const DROPPED: usize = 10_000;
const AT_ONCE: usize = 50;

/// How many clients call at once, and how often each.
const CLIENTS: usize = 200;
const CALLS: usize = 10;

/// The calls of `hang` that have begun, and those that have not ended.
#[derive(Clone, Default)]
struct Hanging {
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

struct Running(Hanging);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
        self.0.changed.notify_one();
    }
}

impl Hanging {
    /// Waits until `count` calls have begun in all.
    async fn begun(&self, count: usize) {
        self.until(|| self.begun.load(SeqCst) >= count).await;
    }

    /// Waits until none runs.
    async fn ended(&self) {
        self.until(|| self.running.load(SeqCst) == 0).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        let changed = async {
            while !is_so() {
                self.changed.notified().await;
            }
        };
        let waited = timeout(Duration::from_secs(60), changed).await;
        assert!(waited.is_ok(), "{} calls run", self.running.load(SeqCst));
    }
}

/// Never answers.
#[tool]
async fn hang(hanging: mcp_server::State<Hanging>) -> bool {
    hanging.running.fetch_add(1, SeqCst);
    hanging.begun.fetch_add(1, SeqCst);
    hanging.changed.notify_one();
    let _running = Running((*hanging).clone());
    std::future::pending().await
}

/// Answers with what it is given, when others have had time to call.
#[tool]
async fn echo(cx: Context, value: u64) -> Vec<u64> {
    sleep(Duration::from_micros(value % 7 * 300)).await;
    assert_eq!(cx.request_id(), "1");
    vec![value]
}

async fn serve() -> (Served, Hanging) {
    let hanging = Hanging::default();
    let server = Server::builder("load")
        .with_state(hanging.clone())
        .tool(hang)
        .tool(echo)
        .build();
    let router = server.unwrap().into_router().unwrap();
    (Served::new(router).await, hanging)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_after_ten_thousand_whose_clients_have_left() {
    let (served, hanging) = serve().await;
    for wave in 1..=DROPPED / AT_ONCE {
        let params = json!({ "name": "hang", "arguments": {} });
        let calls = (0..AT_ONCE).map(|_| {
            served
                .modern_request("tools/call", "hang", params.clone())
                .send()
        });
        tokio::select! {
            _ = join_all(calls) => panic!("a call was answered"),
            () = hanging.begun(wave * AT_ONCE) => {}
        }
    }
    hanging.ended().await;
    assert_is_prompt(served.call("echo", json!({ "value": 7 }))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_answers_after_ten_thousand_calls_that_its_client_has_cancelled() {
    let (served, hanging) = serve().await;
    let session = served.handshake().await;
    let send = |message: Value| {
        let request = served.post().header("mcp-session-id", &session);
        request.json(&message).send()
    };
    for wave in 1..=DROPPED / AT_ONCE {
        let ids = || (1..=AT_ONCE).map(|n| wave * AT_ONCE + n);
        let calls = ids().map(|id| {
            let params = json!({ "name": "hang", "arguments": {} });
            send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params }))
        });
        // The answer is an event stream, whose head comes at once.
        let streams = join_all(calls).await;
        for stream in &streams {
            assert_eq!(stream.as_ref().unwrap().status(), 200, "in wave {wave}");
        }
        hanging.begun(wave * AT_ONCE).await;
        let cancellations = ids().map(|id| {
            let params = json!({ "requestId": id, "reason": "enough" });
            send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }))
        });
        for cancelled in join_all(cancellations).await {
            assert_eq!(cancelled.unwrap().status(), 202);
        }
        hanging.ended().await;
        for stream in streams {
            // It ends, without an answer.
            let text = stream.unwrap().text().await.unwrap();
            assert!(!text.contains("jsonrpc"), "{text}");
        }
    }
    assert_is_prompt(served.call_in(&session, "echo", json!({ "value": 7 }))).await;
}

async fn assert_is_prompt(call: impl Future<Output = Value>) {
    let begun = Instant::now();
    assert_eq!(call.await["structuredContent"]["result"], json!([7]));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_with_equal_ids_get_their_own_answers() {
    let (served, _) = serve().await;
    let clients = (0..CLIENTS).map(|client| {
        let served = &served;
        async move {
            for call in 0..CALLS {
                let value = client * CALLS + call;
                let answer = served.call("echo", json!({ "value": value })).await;
                assert_eq!(answer["structuredContent"]["result"], json!([value]));
            }
        }
    });
    join_all(clients).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_with_equal_ids_get_their_own_answers() {
    let (served, _) = serve().await;
    let sessions = (0..CLIENTS).map(|client| {
        let served = &served;
        async move {
            let session = served.handshake().await;
            for call in 0..CALLS {
                let value = client * CALLS + call;
                let answer = served.call_in(&session, "echo", json!({ "value": value }));
                let answer = answer.await;
                assert_eq!(answer["structuredContent"]["result"], json!([value]));
            }
        }
    });
    join_all(sessions).await;
}
