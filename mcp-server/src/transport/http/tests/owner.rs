//! A session belongs to whoever opened it.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response};
use tower::ServiceExt;

use super::in_process::InProcess;
use super::{INITIALIZE, INITIALIZED, Setup};
use crate::Principal;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Sends a request as an authenticating layer in front of the router would hand it on.
pub(super) async fn send(
    client: &InProcess,
    principal: Option<&Principal>,
    method: Method,
    session: Option<&str>,
    body: &str,
) -> Response<Body> {
    let mut request = Request::builder()
        .uri("/mcp")
        .method(method)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(principal) = principal {
        request = request.extension(principal.clone());
    }
    if let Some(id) = session {
        request = request.header("mcp-session-id", id);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    client.0.clone().oneshot(request).await.unwrap()
}

pub(super) async fn open(client: &InProcess, owner: Option<&Principal>) -> String {
    let response = send(client, owner, Method::POST, None, INITIALIZE).await;
    let id = response.headers()["mcp-session-id"].to_str().unwrap();
    let id = id.to_owned();
    to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let ready = send(client, owner, Method::POST, Some(&id), INITIALIZED).await;
    assert_eq!(ready.status(), 202);
    id
}

/// Every request of `other` to a session of `owner` is answered like one to no session.
async fn assert_separate(owner: Option<&Principal>, other: Option<&Principal>) {
    let client = InProcess(Setup::default().router().0);
    let id = open(&client, owner).await;
    let listening = send(&client, owner, Method::GET, Some(&id), "").await;
    assert_eq!(listening.status(), 200);

    for (method, body) in [
        (Method::POST, PING),
        (Method::POST, INITIALIZED),
        (Method::GET, ""),
        (Method::DELETE, ""),
    ] {
        let foreign = send(&client, other, method.clone(), Some(&id), body).await;
        let unknown = send(&client, other, method.clone(), Some("unknown"), body).await;
        assert_eq!(foreign.status(), 404, "{method} {body}");
        assert_eq!(unknown.status(), 404, "{method} {body}");
        let foreign = to_bytes(foreign.into_body(), usize::MAX).await.unwrap();
        let unknown = to_bytes(unknown.into_body(), usize::MAX).await.unwrap();
        assert_eq!(foreign, unknown, "{method} {body}");
    }

    let answer = send(&client, owner, Method::POST, Some(&id), PING).await;
    assert_eq!(answer.status(), 200);
    let answer = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("result"));
    let deleted = send(&client, owner, Method::DELETE, Some(&id), "").await;
    assert_eq!(deleted.status(), 204);
    to_bytes(listening.into_body(), usize::MAX).await.unwrap();
}

#[tokio::test]
async fn a_session_is_unknown_to_another_principal() {
    let ada = Principal::user("https://id.example", "ada");
    let bob = Principal::user("https://id.example", "bob");
    assert_separate(Some(&ada), Some(&bob)).await;
}

#[tokio::test]
async fn a_session_of_a_principal_is_unknown_to_the_anonymous() {
    let ada = Principal::user("https://id.example", "ada");
    assert_separate(Some(&ada), None).await;
}

#[tokio::test]
async fn an_anonymous_session_is_unknown_to_a_principal() {
    let ada = Principal::user("https://id.example", "ada");
    assert_separate(None, Some(&ada)).await;
}
