//! What only a raw socket can send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::super::bind;
use super::{Server, Setup};
use crate::Error;

/// Sends `request` and returns the status of the answer.
async fn status(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test]
async fn the_host_header_must_be_there_once() {
    let server = Setup::default().start().await;
    for (headers, expected) in [
        ("Host: localhost", "200"),
        ("X: y", "400"),
        ("Host: localhost\r\nHost: localhost", "400"),
        ("Host: localhost\r\nHost: evil.com", "400"),
        ("Host: a@localhost", "400"),
        ("Host: localhost/x", "400"),
        ("Host: localhost:", "400"),
        ("Host: ", "400"),
        ("Host: localhost\u{e9}", "400"),
        (
            "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: https://evil.com",
            "400",
        ),
    ] {
        let request = format!("GET /health HTTP/1.1\r\n{headers}\r\n\r\n");
        assert_eq!(status(&server, &request).await, expected, "{headers}");
    }
}

#[tokio::test]
async fn the_target_of_a_request_must_be_allowed_like_its_host() {
    let server = Setup::default().start().await;
    for (target, host, expected) in [
        ("http://localhost/health", "localhost", "200"),
        ("http://evil.com/health", "localhost", "403"),
        ("http://localhost/health", "evil.com", "403"),
        ("http://a@localhost/health", "localhost", "400"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(status(&server, &request).await, expected, "{target} {host}");
    }
}

#[tokio::test]
async fn an_authority_of_http2_stands_for_the_host() {
    use axum::body::Body;
    use axum::http::{Request, Version};
    use tower::ServiceExt;

    let (router, ..) = Setup::default().router();
    for (authority, expected) in [("localhost:1", 200), ("evil.com", 403)] {
        let request = Request::get(format!("http://{authority}/health")).version(Version::HTTP_2);
        let request = request.body(Body::empty()).unwrap();
        assert_eq!(
            router.clone().oneshot(request).await.unwrap().status(),
            expected
        );
    }
}

#[tokio::test]
async fn headers_over_the_limit_are_answered_with_431() {
    let server = Setup::default().start().await;
    for size in [40 << 10, 1 << 20] {
        let request = format!(
            "GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
            "x".repeat(size)
        );
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // The server may close before all is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).await.is_ok() {
            assert_eq!(&answer[9..], b"431");
        }
    }
    assert_eq!(
        status(&server, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await,
        "200"
    );
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_end_are_cut_after_30_seconds() {
    let server = Setup::default().start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    let begin = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let elapsed = begin.elapsed();
    assert!(
        elapsed >= Duration::from_secs(29) && elapsed <= Duration::from_secs(31),
        "{elapsed:?}"
    );
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_cut_after_60_seconds() {
    let server = Setup::default().start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let begin = Instant::now();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..], b"408");
    let elapsed = begin.elapsed();
    assert!(elapsed >= Duration::from_secs(59), "{elapsed:?}");
    assert!(elapsed <= Duration::from_secs(61), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_is_cut_after_30_seconds() {
    let server = Setup::default().start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let begin = Instant::now();
    server.handler.endless.notified().await;
    let elapsed = begin.elapsed();
    assert!(elapsed >= Duration::from_secs(29), "{elapsed:?}");
    assert!(elapsed <= Duration::from_secs(40), "{elapsed:?}");
}

#[tokio::test]
async fn an_event_does_not_wait_for_the_acknowledgement_of_the_one_before() {
    let server = Setup::default().start().await;
    let id = server.open_session().await;
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    for _ in 0..60 {
        let call = server.call_in(&id, "any").build().unwrap();
        let begin = Instant::now();
        client.execute(call).await.unwrap().text().await.unwrap();
        times.push(begin.elapsed());
    }
    // A new connection is acknowledged at once; later each wait for it takes 40 ms, so one fast
    // call of many tells.
    let fastest = times[40..].iter().min().unwrap();
    assert!(*fastest < Duration::from_millis(30), "{times:?}");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_option() {
    let taken = bind("127.0.0.1", 0).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = bind("127.0.0.1", port).await.unwrap_err();
    assert!(matches!(error, Error::AddressInUse { .. }), "{error:?}");
    assert!(error.to_string().contains("--port"));
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_listened_on() {
    let error = bind("192.0.2.1", 0).await.unwrap_err();
    assert!(matches!(error, Error::Listen { .. }), "{error:?}");
}

#[tokio::test]
async fn an_ipv6_host_may_stand_in_brackets() {
    match bind("[::1]", 0).await {
        Ok(listener) => assert!(listener.local_addr().unwrap().is_ipv6()),
        // A machine without IPv6.
        Err(error) => assert!(matches!(error, Error::Listen { .. }), "{error:?}"),
    }
}

#[tokio::test]
async fn a_connection_above_the_bound_waits_until_another_is_closed() {
    let setup = Setup {
        max_connections: 1,
        ..Setup::default()
    };
    let server = setup.start().await;
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut answer = [0; 12];
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(request).await.unwrap();
    first.read_exact(&mut answer).await.unwrap();

    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(request).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut answer)).await;
    assert!(early.is_err(), "answered although the bound is reached");
    drop(first);
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
