//! What a message to the MCP path must be.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::Request;
use futures_util::{StreamExt as _, stream};
use tokio::time::{Duration, Instant, interval};
use tower::ServiceExt as _;

use super::{INITIALIZE, Server, Setup, rpc_error};

const MAX: usize = 64 << 10;

async fn limited() -> Server {
    let setup = Setup {
        max_body_bytes: MAX,
        ..Setup::default()
    };
    setup.start().await
}

#[tokio::test]
async fn a_valid_call_is_answered_with_json() {
    let server = Setup::default().start().await;
    let response = server.call("any").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["result"]["content"][0]["text"], "done");
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let server = Setup::default().start().await;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=application/json",
        "application/jsonp",
        "",
    ] {
        let request = reqwest::Client::new()
            .post(server.url("/mcp"))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", media_type)
            .body(INITIALIZE);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 415, "{media_type}");
        assert_eq!(rpc_error(response).await.0, -32600);
    }
    let gzip = server.call("any").header("content-encoding", "gzip");
    assert_eq!(gzip.send().await.unwrap().status(), 415);
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_content_type_may_have_parameters() {
    let server = Setup::default().start().await;
    let request = reqwest::Client::new()
        .post(server.url("/mcp"))
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(INITIALIZE);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_is_no_message_gets_a_json_rpc_error() {
    let server = Setup::default().start().await;
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        // Right for us, wrong for rmcp.
        (r#"{"jsonrpc":"2.0","result":5,"id":null}"#, -32600),
    ] {
        let response = server.post(body).send().await.unwrap();
        assert_eq!(response.status(), 400, "{body}");
        assert_eq!(rpc_error(response).await.0, code, "{body}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_and_without_a_length() {
    let server = limited().await;
    let body = |size: usize| {
        let body = r#"{"jsonrpc":"2.0","method":"m","params":{"a":""}}"#;
        body.replace("\"\"", &format!("\"{}\"", "x".repeat(size - body.len())))
    };
    assert_eq!(body(MAX).len(), MAX);

    let largest = server.post(body(MAX)).send().await.unwrap();
    assert_ne!(largest.status(), 413);
    let response = server.post(body(MAX + 1)).send().await.unwrap();
    assert_eq!(response.status(), 413);
    let message = "the body is larger than 65536 bytes".to_owned();
    assert_eq!(rpc_error(response).await, (-32600, message.clone()));

    let chunks = body(MAX + 1).into_bytes();
    let chunks: Vec<_> = chunks.chunks(1000).map(<[u8]>::to_vec).collect();
    let chunked = chunks.into_iter().map(Ok::<_, std::io::Error>);
    let chunked = reqwest::Body::wrap_stream(stream::iter(chunked));
    let response = server.post(chunked).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(rpc_error(response).await, (-32600, message));
}

#[tokio::test]
async fn other_routes_have_the_same_limit() {
    let server = limited().await;
    let post = |size| {
        reqwest::Client::new()
            .post(server.url("/echo"))
            .body("x".repeat(size))
    };
    assert_eq!(post(MAX).send().await.unwrap().status(), 200);
    let refused = post(MAX + 1).send().await.unwrap();
    assert_eq!(refused.status(), 413);
    assert!(refused.text().await.unwrap().starts_with("{\"error\""));

    let chunks = (0..MAX / 1000 + 1).map(|_| Ok::<_, std::io::Error>("x".repeat(1000)));
    let chunked = reqwest::Body::wrap_stream(stream::iter(chunks.collect::<Vec<_>>()));
    let post = reqwest::Client::new()
        .post(server.url("/echo"))
        .body(chunked);
    assert_eq!(post.send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn mcp_is_served_with_and_without_a_slash_at_the_end() {
    for (path, served) in [
        ("/mcp", ["/mcp", "/mcp/"]),
        ("/a/b/", ["/a/b", "/a/b/"]),
        ("/", ["", "/"]),
    ] {
        let setup = Setup {
            path,
            ..Setup::default()
        };
        let server = setup.start().await;
        for path in served {
            let request = reqwest::Client::new()
                .post(server.url(path))
                .header("accept", "application/json, text/event-stream")
                .header("content-type", "application/json")
                .body(INITIALIZE);
            assert_eq!(request.send().await.unwrap().status(), 200, "{path}");
        }
        let beside = reqwest::Client::new()
            .post(server.url("/mcp/x"))
            .body(INITIALIZE);
        assert_eq!(beside.send().await.unwrap().status(), 404);
    }
}

#[tokio::test]
async fn a_client_that_sends_far_too_much_still_reads_the_refusal() {
    let server = limited().await;
    let response = server.post("x".repeat(20 << 20)).send().await.unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn a_client_may_leave_the_media_type_to_the_server() {
    let server = Setup::default().start().await;
    let client = reqwest::Client::new();
    // reqwest sends `*/*` by itself.
    for accept in [None, Some("application/json, text/plain, */*;q=0.8")] {
        let mut request = client
            .post(server.url("/mcp"))
            .header("content-type", "application/json")
            .body(INITIALIZE);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        assert_eq!(request.send().await.unwrap().status(), 200, "{accept:?}");
    }
    let id = server.open_session().await;
    let stream = server.in_session(client.get(server.url("/mcp")), &id);
    assert_eq!(stream.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_media_type_that_cannot_be_had_is_refused() {
    let server = Setup::default().start().await;
    let request = reqwest::Client::new()
        .post(server.url("/mcp"))
        .header("accept", "text/html")
        .header("content-type", "application/json")
        .body(INITIALIZE);
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 406);
    assert_eq!(refused.headers()["content-type"], "application/json");
    let (code, message) = rpc_error(refused).await;
    assert_eq!(code, -32600);
    assert!(message.starts_with("Not Acceptable"), "{message}");
}

#[tokio::test]
async fn refusals_of_every_kind_are_json_rpc_errors() {
    let server = Setup::default().start().await;
    let client = reqwest::Client::new();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let url = server.url("/mcp");
    for (request, status, reason) in [
        (server.post(ping), 400, "Session ID is required"),
        (client.delete(&url), 400, "Session ID is required"),
        (server.call_in("unknown", "any"), 404, "Session not found"),
        (server.listen("unknown"), 404, "Session not found"),
        (client.put(&url), 405, "Method Not Allowed"),
        (
            server.post(INITIALIZE).header("mcp-protocol-version", "1"),
            400,
            "",
        ),
    ] {
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), status, "{reason}");
        assert_eq!(refused.headers()["content-type"], "application/json");
        if status == 405 {
            assert_eq!(refused.headers()["allow"], "GET, POST, DELETE");
        }
        let body: serde_json::Value = refused.json().await.unwrap();
        assert!(body["error"]["code"].is_i64(), "{body}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}

/// Sends one byte a second to `path`, and returns the status and body of the answer.
async fn drip(path: &str) -> (u16, String) {
    let (router, ..) = Setup::default().router();
    let bytes = stream::unfold(interval(Duration::from_secs(1)), async |mut ticks| {
        ticks.tick().await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ticks))
    });
    let request = Request::post(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Body::from_stream(bytes.boxed()))
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_cut_after_a_minute_on_every_route() {
    let begin = Instant::now();
    let (status, body) = drip("/mcp").await;
    assert_eq!(status, 408);
    assert!(body.contains("the body took longer than 60 s"), "{body}");
    assert_eq!(begin.elapsed().as_secs(), 60);

    let begin = Instant::now();
    assert_eq!(drip("/echo").await.0, 400);
    assert_eq!(begin.elapsed().as_secs(), 60);
}
