//! Lists in pages, and how long they may be kept.

use std::time::Duration;

use mcp_server::types::CacheScope;
use mcp_server::{Error, Server, ServerBuilder, resource, tool};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn a() {}

#[tool]
async fn b() {}

#[tool]
async fn c() {}

#[tool]
async fn d() {}

#[resource("all://{path*}")]
async fn all(path: String) -> String {
    path
}

#[resource("one://{name}")]
async fn one(name: String) -> String {
    name
}

fn builder() -> ServerBuilder {
    let tools = Server::builder("Test").tool(d).tool(b).tool(a).tool(c);
    tools.resource(all).resource(one)
}

async fn serve(server: Server) -> Served {
    Served::new(server.into_router().unwrap()).await
}

/// Reads a page, and returns the names on it and the next cursor.
async fn page(served: &Served, kind: &str, cursor: &Value) -> (Vec<String>, Value) {
    let params = match cursor {
        Value::Null => json!({}),
        cursor => json!({ "cursor": cursor }),
    };
    let answer = served.modern(&format!("{kind}/list"), "", params).await;
    let result = &answer["result"];
    let list = &result[if kind == "tools" {
        "tools"
    } else {
        "resourceTemplates"
    }];
    let items = list.as_array().unwrap().iter();
    let names = items.map(|item| item["name"].as_str().unwrap().to_owned());
    (names.collect(), result["nextCursor"].clone())
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let served = serve(builder().list_page_size(3).build().unwrap()).await;
    let (names, next) = page(&served, "tools", &Value::Null).await;
    assert_eq!(names, ["a", "b", "c"]);
    let (names, next) = page(&served, "tools", &next).await;
    assert_eq!(names, ["d"]);
    assert_eq!(next, Value::Null);
}

#[tokio::test]
async fn the_last_page_is_not_an_empty_one() {
    let served = serve(builder().list_page_size(4).build().unwrap()).await;
    let (names, next) = page(&served, "tools", &Value::Null).await;
    assert_eq!((names.len(), next), (4, Value::Null));
}

#[tokio::test]
async fn templates_come_in_pages_too() {
    let served = serve(builder().list_page_size(1).build().unwrap()).await;
    let (names, next) = page(&served, "resources/templates", &Value::Null).await;
    assert_eq!(names, ["one"]);
    let (names, next) = page(&served, "resources/templates", &next).await;
    assert_eq!(names, ["all"]);
    assert_eq!(next, Value::Null);
}

#[tokio::test]
async fn what_goes_between_two_pages_hides_nothing() {
    let server = builder().list_page_size(2).build().unwrap();
    let handle = server.handle();
    let served = serve(server).await;
    let (names, next) = page(&served, "tools", &Value::Null).await;
    assert_eq!(names, ["a", "b"]);
    assert!(handle.remove_tool("a") && handle.remove_tool("b"));
    assert_eq!(page(&served, "tools", &next).await.0, ["c", "d"]);
}

#[tokio::test]
async fn a_cursor_that_was_not_handed_out_is_refused() {
    let served = serve(builder().list_page_size(2).build().unwrap()).await;
    for cursor in ["", "made-up", "bm90IG91cnM", "_w"] {
        let params = json!({ "cursor": cursor });
        let answer = served.modern("tools/list", "", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{cursor}: {answer}");
    }
}

#[tokio::test]
async fn a_client_learns_how_long_it_may_keep_a_list() {
    let lists = builder().list_cache(Duration::from_secs(60), CacheScope::Public);
    let served = serve(lists.build().unwrap()).await;
    for method in [
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
    ] {
        let result = served.modern(method, "", json!({})).await["result"].take();
        assert_eq!(result["ttlMs"], 60_000, "{method}: {result}");
        assert_eq!(result["cacheScope"], "public", "{method}: {result}");
        let session = served.handshake().await;
        let result = served.ask_in(&session, method, json!({})).await["result"].take();
        assert!(result.is_object() && result["ttlMs"].is_null(), "{result}");
    }
    let served = serve(builder().build().unwrap()).await;
    let result = served.modern("tools/list", "", json!({})).await["result"].take();
    assert_eq!(
        (&result["ttlMs"], &result["cacheScope"]),
        (&json!(0), &json!("private"))
    );
}

#[test]
fn a_page_holds_something() {
    let error = builder().list_page_size(0).build().unwrap_err();
    assert!(matches!(error, Error::InvalidOption { .. }), "{error}");
}
