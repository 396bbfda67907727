//! The requests of one session that run at the same time.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{Setup, rpc_error};

#[tokio::test]
async fn an_id_is_refused_while_a_request_with_it_runs() {
    let server = Setup::default().start().await;
    let session = server.open_session().await;
    let first = server.call_in(&session, "wait").send().await.unwrap();
    server.called(1).await;

    let second = server.call_in(&session, "any").send().await.unwrap();
    assert_eq!(second.status(), 400);
    let reason = "the id is in use by a request of this session that is still running";
    assert_eq!(rpc_error(second).await, (-32600, reason.to_owned()));

    // The same digits as a string are another id, and another session has ids of its own.
    let text = server.call_with_id(&session, "any", &json!("8"));
    assert!(
        text.send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("done")
    );
    let other = server.open_session().await;
    let other = server.call_in(&other, "any").send().await.unwrap();
    assert!(other.text().await.unwrap().contains("done"));

    server.handler.permits.add_permits(1);
    assert!(first.text().await.unwrap().contains("done"));
    let again = server.call_in(&session, "any").send().await.unwrap();
    assert!(again.text().await.unwrap().contains("done"));
}

#[tokio::test]
async fn an_id_is_in_use_until_its_call_ends_although_the_client_is_gone() {
    let server = Setup::default().start().await;
    let session = server.open_session().await;
    let first = server.call_in(&session, "wait").send().await.unwrap();
    server.called(1).await;
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The answer of the first call would be taken for that of a second one.
    let second = server.call_in(&session, "any").send().await.unwrap();
    assert_eq!(second.status(), 400);
    server.handler.permits.add_permits(1);
    let freed = async {
        while server
            .call_in(&session, "any")
            .send()
            .await
            .unwrap()
            .status()
            != 200
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), freed).await.unwrap();
}

#[tokio::test]
async fn a_session_runs_64_requests_at_once() {
    let server = Setup::default().start().await;
    let session = server.open_session().await;
    let mut running = Vec::new();
    for id in 0..64 {
        let call = server.call_with_id(&session, "wait", &json!(id));
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 200);
        running.push(response);
    }
    let refused = server.call_with_id(&session, "any", &json!(64));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "5");
    let reason = "too many requests of this session are running";
    assert_eq!(rpc_error(refused).await, (-32600, reason.to_owned()));

    server.handler.permits.add_permits(64);
    for response in running {
        assert!(response.text().await.unwrap().contains("done"));
    }
    let call = server.call_with_id(&session, "any", &json!(64));
    assert_eq!(call.send().await.unwrap().status(), 200);
}
