//! Host, Origin and CORS, on every route.

use reqwest::Method;

use super::{Server, Setup, rpc_error};

async fn get_with(server: &Server, path: &str, name: &str, value: &str) -> reqwest::Response {
    let request = reqwest::Client::new().get(server.url(path));
    request.header(name, value).send().await.unwrap()
}

#[tokio::test]
async fn loopback_hosts_reach_every_route() {
    let server = Setup::default().start().await;
    for host in [
        "localhost",
        "LOCALHOST:1234",
        "127.0.0.1",
        "127.9.9.9:1",
        "[::1]:8000",
    ] {
        assert_eq!(
            get_with(&server, "/health", "host", host).await.status(),
            200,
            "{host}"
        );
        let call = server
            .call("any")
            .header("host", host)
            .send()
            .await
            .unwrap();
        assert_eq!(call.status(), 200, "{host}");
    }
}

#[tokio::test]
async fn foreign_hosts_reach_no_route() {
    let server = Setup::default().start().await;
    for host in [
        "evil.com",
        "evil.com:8000",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "0.0.0.0",
    ] {
        for path in ["/mcp", "/mcp/", "/health", "/echo", "/no-such-route"] {
            for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
                let request = reqwest::Client::new().request(method.clone(), server.url(path));
                let response = request.header("host", host).send().await.unwrap();
                assert_eq!(response.status(), 403, "{method} {path} {host}");
            }
        }
        assert_eq!(
            server
                .call("any")
                .header("host", host)
                .send()
                .await
                .unwrap()
                .status(),
            403
        );
    }
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_refusal_names_the_option_to_set() {
    let server = Setup::default().start().await;
    let response = server
        .call("any")
        .header("host", "evil.com:99")
        .send()
        .await
        .unwrap();
    let message = "host `evil.com` is not allowed; start the server with --allowed-host evil.com";
    assert_eq!(rpc_error(response).await, (-32600, message.to_owned()));

    let response = get_with(&server, "/health", "host", "evil.com").await;
    assert_eq!(
        response.text().await.unwrap(),
        format!("{{\"error\":\"{message}\"}}")
    );

    let response = server
        .call("any")
        .header("origin", "https://evil.com")
        .send()
        .await
        .unwrap();
    let (_, message) = rpc_error(response).await;
    assert!(
        message.ends_with("--allowed-origin https://evil.com"),
        "{message}"
    );
}

#[tokio::test]
async fn a_refusal_repeats_at_most_100_characters() {
    let server = Setup::default().start().await;
    let long = format!("https://{}\"<script>", "x".repeat(4000));
    let response = server
        .call("any")
        .header("origin", long)
        .send()
        .await
        .unwrap();
    let (_, message) = rpc_error(response).await;
    assert!(message.len() < 200, "{message}");
}

#[tokio::test]
async fn configured_hosts_are_allowed_with_their_port() {
    let setup = Setup {
        base_url: Some("https://mcp.example.com/base"),
        allowed_hosts: vec!["any-port".into(), "one-port:8080".into()],
        ..Setup::default()
    };
    let server = setup.start().await;
    for (host, status) in [
        ("mcp.example.com", 200),
        ("MCP.example.com:8443", 200),
        ("any-port:1", 200),
        ("one-port:8080", 200),
        ("one-port:8081", 403),
        ("one-port", 403),
        ("example.com", 403),
    ] {
        assert_eq!(
            get_with(&server, "/health", "host", host).await.status(),
            status,
            "{host}"
        );
    }
}

#[tokio::test]
async fn origins_must_be_loopback_or_configured_exactly() {
    let setup = Setup {
        base_url: Some("https://mcp.example.com"),
        allowed_origins: vec!["https://app.example.com:8443".into(), "app://x".into()],
        ..Setup::default()
    };
    let server = setup.start().await;
    for (origin, status) in [
        ("http://localhost:6274", 200),
        ("https://127.0.0.1", 200),
        ("http://[::1]:1", 200),
        ("https://mcp.example.com", 200),
        ("https://app.example.com:8443", 200),
        ("app://x", 200),
        ("https://app.example.com", 403),
        ("http://mcp.example.com", 403),
        ("https://evil.com", 403),
        ("http://localhost.evil.com", 403),
        ("null", 403),
        ("", 403),
        ("localhost", 403),
    ] {
        let response = server
            .call("any")
            .header("origin", origin)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{origin}");
        assert_eq!(
            get_with(&server, "/health", "origin", origin)
                .await
                .status(),
            status
        );
    }
    assert_eq!(server.calls(), 6);
}

#[tokio::test]
async fn cross_site_requests_need_an_allowed_origin() {
    let server = Setup::default().start().await;
    let cross_site = || server.call("any").header("sec-fetch-site", "cross-site");
    assert_eq!(cross_site().send().await.unwrap().status(), 403);
    let allowed = cross_site().header("origin", "http://localhost:1");
    assert_eq!(allowed.send().await.unwrap().status(), 200);
    let same_site = server.call("any").header("sec-fetch-site", "same-origin");
    assert_eq!(same_site.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_redirect_back_from_a_login_is_let_through_but_not_to_mcp() {
    let server = Setup::default().start().await;
    let navigate = |path| {
        reqwest::Client::new()
            .get(server.url(path))
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    };
    assert_eq!(navigate("/health").send().await.unwrap().status(), 200);
    assert_eq!(navigate("/mcp").send().await.unwrap().status(), 403);
    for (mode, dest) in [("no-cors", "image"), ("navigate", "iframe")] {
        let embedded = reqwest::Client::new()
            .get(server.url("/health"))
            .header("sec-fetch-site", "cross-site")
            .header("sec-fetch-mode", mode)
            .header("sec-fetch-dest", dest);
        assert_eq!(embedded.send().await.unwrap().status(), 403, "{dest}");
    }
}

#[tokio::test]
async fn preflights_are_answered_for_allowed_origins_only() {
    let server = Setup::default().start().await;
    let preflight = |origin| {
        reqwest::Client::new()
            .request(Method::OPTIONS, server.url("/mcp"))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "content-type,mcp-param-city",
            )
    };
    let allowed = preflight("http://localhost:6274").send().await.unwrap();
    assert_eq!(allowed.status(), 200);
    let headers = allowed.headers();
    assert_eq!(
        headers["access-control-allow-origin"],
        "http://localhost:6274"
    );
    assert_eq!(
        headers["access-control-allow-headers"],
        "content-type,mcp-param-city"
    );
    assert_eq!(
        headers["access-control-allow-methods"],
        "GET,POST,DELETE,OPTIONS"
    );

    let foreign = preflight("https://evil.com").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    assert!(
        !foreign
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_can_read_answers_and_errors() {
    let server = Setup::default().start().await;
    for request in [server.call("any"), server.post("{")] {
        let response = request
            .header("origin", "http://localhost:1")
            .send()
            .await
            .unwrap();
        let headers = response.headers();
        assert_eq!(headers["access-control-allow-origin"], "http://localhost:1");
        assert_eq!(
            headers["access-control-expose-headers"],
            "mcp-session-id,www-authenticate"
        );
    }
}
