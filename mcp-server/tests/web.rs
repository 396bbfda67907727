//! Resources of web addresses, of a real web server.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::get;
use futures_util::stream;
use mcp_server::client::ClientError;
use mcp_server::{Client, HttpResource, ResourceDefinition, Server, axum};
use serde_json::{Value, json};

use crate::http_client::Served;

/// Starts the web server, and returns its address.
async fn web() -> String {
    let endless = || async {
        let pieces = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 1000])));
        Body::from_stream(pieces)
    };
    let to = |to: &'static str| move || async move { (StatusCode::FOUND, [(LOCATION, to)]) };
    let told = |headers: HeaderMap| async move {
        let value = headers.get(AUTHORIZATION);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("none")
            .to_owned()
    };
    let router = Router::new()
        .route("/text", get(|| async { "Grüße" }))
        .route(
            "/json",
            get(|| async { ([(CONTENT_TYPE, "Application/JSON; a=b")], "{}") }),
        )
        .route(
            "/raw",
            get(|| async { ([(CONTENT_TYPE, "no type")], vec![0xff_u8, 0]) }),
        )
        .route("/slow", get(std::future::pending::<()>))
        .route("/endless", get(endless))
        .route("/loop", get(to("/loop")))
        .route("/moved", get(to("/text")))
        .route("/told", get(told));
    let address = Served::new(router).await.address;
    format!("http://{address}")
}

async fn read(resource: HttpResource) -> Result<Value, ClientError> {
    let server = Server::builder("Test").resource(resource).build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    let mut result = client.read_resource("web://it").await?;
    Ok(serde_json::to_value(result.contents.remove(0)).unwrap())
}

fn of(address: &str) -> HttpResource {
    HttpResource::new("web://it", address).unwrap()
}

#[tokio::test]
async fn an_answer_is_read_as_text_or_bytes_with_the_type_it_tells() {
    let web = web().await;
    let at = |path: &str| of(&format!("{web}{path}"));
    assert_eq!(
        read(at("/moved")).await.unwrap(),
        json!({ "uri": "web://it", "mimeType": "text/plain", "text": "Grüße" })
    );
    assert_eq!(
        read(at("/json")).await.unwrap(),
        json!({ "uri": "web://it", "mimeType": "application/json", "text": "{}" })
    );
    assert_eq!(
        read(at("/raw")).await.unwrap(),
        json!({ "uri": "web://it", "mimeType": "application/octet-stream", "blob": "/wA=" })
    );
    let page = ResourceDefinition::new("web://it", "page").with_mime_type("text/html");
    let page = HttpResource::new(page, &format!("{web}/text")).unwrap();
    assert_eq!(read(page).await.unwrap()["mimeType"], "text/html");
}

#[tokio::test]
async fn a_client_learns_what_is_wrong_with_an_answer_and_not_where_it_is_from() {
    let web = web().await;
    let at = |path: &str| of(&format!("{web}{path}?secret"));
    let long = Duration::from_secs(60);
    let short = Duration::from_millis(50);
    for (resource, expected) in [
        (at("/none"), "the web server answers 404 Not Found"),
        (
            at("/slow").with_timeout(short),
            "the web server took longer than 50ms",
        ),
        (
            at("/endless").with_max_bytes(5000),
            "the answer has more than 5000 bytes",
        ),
        (
            at("/loop").with_timeout(long),
            "Error reading resource 'web://it'",
        ),
        (
            of("http://127.0.0.1:1/secret"),
            "Error reading resource 'web://it'",
        ),
    ] {
        let error = read(resource).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn headers_are_sent_to_no_other_origin() {
    let (web, other) = (web().await, web().await);
    let secret = HeaderValue::from_static("Bearer secret");
    let told = of(&format!("{web}/told")).with_header(AUTHORIZATION, secret.clone());
    let told = told.unwrap();
    assert!(!format!("{told:?}").contains("secret"));
    assert_eq!(read(told).await.unwrap()["text"], "Bearer secret");

    let location = format!("{other}/told");
    let away = get(move || async move { (StatusCode::FOUND, [(LOCATION, location)]) });
    let away = Served::new(Router::new().route("/away", away))
        .await
        .address;
    let away = of(&format!("http://{away}/away"));
    assert_eq!(read(away.clone()).await.unwrap()["text"], "none");
    let away = away.with_header(AUTHORIZATION, secret).unwrap();
    let error = read(away).await.unwrap_err().to_string();
    assert!(error.contains("Error reading resource"), "{error}");
}

#[test]
fn only_addresses_of_the_web_are_taken() {
    for address in [
        "file:///etc/passwd",
        "ftp://a/b",
        "data:,a",
        "a/b",
        "http://",
        "",
    ] {
        assert!(HttpResource::new("web://it", address).is_err(), "{address}");
    }
}
