//! Which session ends when there is no room for another.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use serde_json::Value;
use tower::ServiceExt;

use super::in_process::InProcess;
use super::{INITIALIZE, SessionLimits, Setup};

/// Somewhat more than the time for which a session is protected.
const LATER: Duration = Duration::from_secs(11);

fn at_most(max: usize) -> InProcess {
    let setup = Setup {
        limits: SessionLimits {
            max,
            ..SessionLimits::default()
        },
        ..Setup::default()
    };
    InProcess(setup.router().0)
}

async fn stream(client: &InProcess, id: &str) -> Response<Body> {
    let request = Request::get("/mcp")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", id)
        .body(Body::empty())
        .unwrap();
    client.0.clone().oneshot(request).await.unwrap()
}

async fn assert_full(client: &InProcess) {
    let refused = client.post(INITIALIZE, None).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let body = to_bytes(refused.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["message"], "all sessions are busy");
}

#[tokio::test(start_paused = true)]
async fn room_is_made_by_ending_the_session_idle_longest() {
    let client = at_most(2);
    let first = client.open().await;
    let second = client.open().await;
    tokio::time::sleep(LATER).await;
    drop(client.ping(&first).await);
    let third = client.open().await;
    assert_eq!(client.ping(&second).await.status(), 404);
    assert_eq!(client.ping(&first).await.status(), 200);
    assert_eq!(client.ping(&third).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nothing_followed_gives_way_first() {
    let client = at_most(2);
    let used = client.open().await;
    tokio::time::sleep(LATER).await;
    let unused = client.initialize().await;
    tokio::time::sleep(LATER).await;
    client.open().await;
    assert_eq!(client.ping(&unused).await.status(), 404);
    assert_eq!(client.ping(&used).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_protected_until_it_can_use_its_session() {
    let client = at_most(2);
    client.open().await;
    tokio::time::sleep(LATER).await;
    let newcomers = [client.initialize().await, client.initialize().await];
    for _ in 0..10 {
        assert_full(&client).await;
    }
    for id in newcomers {
        assert_eq!(client.ping(&id).await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn used_sessions_keep_no_newcomer_out() {
    let client = at_most(2);
    client.open().await;
    client.open().await;
    assert_full(&client).await;
    tokio::time::sleep(LATER).await;
    let newcomer = client.open().await;
    assert_eq!(client.ping(&newcomer).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_session_with_anything_open_gives_no_way() {
    let client = at_most(2);
    let (first, second) = (client.open().await, client.open().await);
    let streams = (
        stream(&client, &first).await,
        stream(&client, &second).await,
    );
    tokio::time::sleep(LATER).await;
    assert_full(&client).await;
    drop(streams.1);
    client.open().await;
    assert_eq!(client.ping(&second).await.status(), 404);
    assert_eq!(client.ping(&first).await.status(), 200);
    drop(streams.0);
}
