//! Sessions: their number, their end, and what a client is answered then.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use tokio::time::timeout;
use tower::ServiceExt;

use super::in_process::InProcess;
use super::{INITIALIZE, Setup, rpc_error};

#[tokio::test]
async fn a_session_answers_until_it_is_deleted() {
    let server = Setup::default().start().await;
    let id = server.open_session().await;
    assert!(uuid_bits(&id), "{id}");
    let answer = server.call_in(&id, "any").send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("done"));

    assert_eq!(server.delete(&id).send().await.unwrap().status(), 204);
    assert_eq!(server.sessions.len(), 0);
    assert_eq!(
        server.call_in(&id, "any").send().await.unwrap().status(),
        404
    );
    assert_eq!(server.listen(&id).send().await.unwrap().status(), 404);
    assert_eq!(server.delete(&id).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn two_session_ids_are_refused() {
    let server = Setup::default().start().await;
    let (first, second) = (server.open_session().await, server.open_session().await);
    let call = server.call_in(&first, "any");
    let refused = call.header("mcp-session-id", &second).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let reason = "the request has two Mcp-Session-Id headers";
    assert_eq!(rpc_error(refused).await, (-32600, reason.to_owned()));
    let deletion = server.delete(&first).header("mcp-session-id", &second);
    assert_eq!(deletion.send().await.unwrap().status(), 400);
    assert_eq!(server.sessions.len(), 2);
    assert_eq!(server.calls(), 0);
}

/// Whether `id` is a random UUID: 122 bits.
fn uuid_bits(id: &str) -> bool {
    id.len() == 36
        && id.as_bytes()[14] == b'4'
        && matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b')
}

#[tokio::test]
async fn deleting_a_session_ends_its_streams() {
    let server = Setup::default().start().await;
    let id = server.open_session().await;
    let stream = server.listen(&id).send().await.unwrap();
    let waiting = server.call_in(&id, "wait").send().await.unwrap();
    assert_eq!(server.delete(&id).send().await.unwrap().status(), 204);
    stream.text().await.unwrap();
    assert!(!waiting.text().await.unwrap().contains("done"));
}

#[tokio::test]
async fn an_initialize_that_fails_leaves_no_session() {
    let server = Setup::default().start().await;
    for _ in 0..100 {
        let request = server
            .post(INITIALIZE)
            .header("mcp-protocol-version", "2024-11-05");
        assert_eq!(request.send().await.unwrap().status(), 400);
    }
    assert_eq!(server.sessions.len(), 0);
}

#[tokio::test]
async fn a_stalled_session_does_not_delay_others() {
    let server = Setup::default().start().await;
    let (stalled, other) = (server.open_session().await, server.open_session().await);
    let unread = server.call_in(&stalled, "flood").send().await.unwrap();
    let answered = async {
        for _ in 0..100 {
            let answer = server.call_in(&other, "any").send().await.unwrap();
            assert!(answer.text().await.unwrap().contains("done"));
        }
        assert_eq!(server.delete(&stalled).send().await.unwrap().status(), 204);
        assert_eq!(
            server
                .call_in(&stalled, "any")
                .send()
                .await
                .unwrap()
                .status(),
            404
        );
    };
    timeout(Duration::from_secs(20), answered).await.unwrap();
    // Were the flood over, the session would not have been stalled.
    assert!(
        !unread
            .text()
            .await
            .is_ok_and(|events| events.contains("done"))
    );
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn an_abandoned_session_ends_after_30_minutes() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let id = client.open().await;
    tokio::time::sleep(29 * MINUTE).await;
    assert_eq!(sessions.len(), 1);
    drop(client.ping(&id).await);
    tokio::time::sleep(29 * MINUTE).await;
    assert_eq!(sessions.len(), 1, "a request starts the time anew");
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(sessions.len(), 0);
    assert_eq!(client.ping(&id).await.status(), 404);
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_as_long_as_a_stream_of_it_is_open() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let id = client.open().await;
    let request = Request::get("/mcp")
        .header("host", "localhost")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &id)
        .body(Body::empty())
        .unwrap();
    let stream = client.0.clone().oneshot(request).await.unwrap();
    assert_eq!(stream.status(), 200);
    tokio::time::sleep(600 * MINUTE).await;
    assert_eq!(sessions.len(), 1);
    drop(stream);
    tokio::time::sleep(29 * MINUTE).await;
    assert_eq!(
        sessions.len(),
        1,
        "the time starts at the end of the stream"
    );
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(sessions.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_initialize_that_nothing_follows_ends_after_a_minute() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    client.initialize().await;
    let ready = client.open().await;
    tokio::time::sleep(MINUTE / 2).await;
    assert_eq!(sessions.len(), 2);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(sessions.len(), 1);
    assert_eq!(client.ping(&ready).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_abandoned_sessions_leave_nothing() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    for _ in 0..10_000 {
        client.initialize().await;
    }
    assert_eq!(sessions.len(), 10_000);
    assert!(tasks() > 10_000);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!(sessions.len(), 0);
    assert_eq!(tasks(), 1, "the sweeper alone is left");
}
