//! Resources and their templates, as a client reads them.

use mcp_server::types::{Icon, JsonObject};
use mcp_server::{
    BoxFuture, Client, Context, Prompt, PromptDefinition, PromptError, PromptResult, Resource,
    ResourceDefinition, ResourceError, ResourceRequest, ResourceResult, Server, ServerBuilder,
    ToolDefinition, resource, tool_fn,
};
use serde_json::json;

#[resource("order://{kind}/{path*}")]
async fn rest(kind: String, path: String) -> String {
    format!("the rest {path} of {kind}")
}

#[resource("order://{kind}/{name}")]
async fn segment(kind: String, name: String) -> String {
    format!("{name} of {kind}")
}

#[resource("order://books/{name}")]
async fn book(name: String) -> String {
    format!("the book {name}")
}

#[resource("order://books/today")]
async fn today() -> &'static str {
    "the book of today"
}

#[resource("search://{kind}{?q,folder}", unchecked("q"))]
async fn search(kind: String, q: Option<String>, folder: Option<String>) -> String {
    format!("{kind} {q:?} {folder:?}")
}

async fn client_of(builder: ServerBuilder) -> Client {
    Client::connect(&builder.build().unwrap()).await.unwrap()
}

/// Reads what the one content of a resource is.
async fn text(client: &Client, uri: &str) -> String {
    let result = client.read_resource(uri).await.unwrap();
    let contents = serde_json::to_value(result.contents).unwrap();
    contents[0]["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn of_several_templates_the_one_that_says_most_answers() {
    let builder = Server::builder("Test").resource(rest).resource(segment);
    let client = client_of(builder.resource(book).resource(today)).await;
    for (uri, expected) in [
        ("order://books/today", "the book of today"),
        ("order://books/emma", "the book emma"),
        ("order://films/emma", "emma of films"),
        ("order://books/emma/1", "the rest emma/1 of books"),
    ] {
        assert_eq!(text(&client, uri).await, expected);
    }
}

#[tokio::test]
async fn a_parameter_names_nothing_outside_a_folder_unless_it_is_left_unchecked() {
    let client = client_of(Server::builder("Test").resource(search)).await;
    assert_eq!(
        text(&client, "search://books?q=/a/../b&folder=c/d").await,
        r#"books Some("/a/../b") Some("c/d")"#
    );
    for uri in [
        "search://books?folder=../d",
        "search://books?folder=%2Fetc",
        "search://..",
        "search://%2e%2E?q=1",
        "search://books?q=%00",
    ] {
        let error = client.read_resource(uri).await.unwrap_err();
        assert_eq!(error.code(), Some(-32602), "{uri}");
        assert!(error.to_string().starts_with("Unknown resource"), "{error}");
    }
}

/// All of it.
#[resource(
    "all://options",
    mime_type = "text/plain",
    size = 5,
    tags("b", "a"),
    icons("https://example.com/a.png", icon()),
    annotations(
        audience("user", "assistant"),
        priority = 1,
        last_modified = "2026-01-02T03:04:05Z"
    ),
    meta(level = 3, "example.com/owner" = "ops")
)]
async fn all() -> &'static str {
    "12345"
}

/// Some of it.
#[resource("all://{name}", annotations(priority = 0.5), icons(icon()))]
async fn each(name: String) -> String {
    name
}

fn icon() -> Icon {
    Icon::new("data:image/gif;base64,R0lGODlh").with_mime_type("image/gif")
}

#[tokio::test]
async fn every_option_is_told_to_clients() {
    let client = client_of(Server::builder("Test").resource(all).resource(each)).await;
    let icon = json!({"src": "data:image/gif;base64,R0lGODlh", "mimeType": "image/gif"});
    assert_eq!(
        serde_json::to_value(client.list_resources().await.unwrap()).unwrap(),
        json!([{
            "uri": "all://options",
            "name": "all",
            "title": "All",
            "description": "All of it.",
            "mimeType": "text/plain",
            "size": 5,
            "icons": [{"src": "https://example.com/a.png"}, icon],
            "annotations": {
                "audience": ["user", "assistant"],
                "priority": 1.0,
                "lastModified": "2026-01-02T03:04:05Z",
            },
            "_meta": {
                "level": 3,
                "example.com/owner": "ops",
                "fastmcp": {"tags": ["a", "b"]},
            },
        }])
    );
    assert_eq!(
        serde_json::to_value(client.list_resource_templates().await.unwrap()).unwrap(),
        json!([{
            "uriTemplate": "all://{name}",
            "name": "each",
            "title": "Each",
            "description": "Some of it.",
            "icons": [icon],
            "annotations": {"priority": 0.5},
        }])
    );
}

#[test]
fn an_icon_that_no_client_may_load_is_refused() {
    let bad = || [Icon::new("http://example.com/a.png")];
    let tool = ToolDefinition::new("a").with_icons(bad());
    let tool = tool_fn(tool, |_, (): ()| async { Ok(0) });
    let prompt = PromptDefinition::new("a").with_icons(bad());
    for (kind, builder) in [
        ("tool", Server::builder("Test").tool(tool)),
        (
            "resource",
            Server::builder("Test").resource(Defined(all.definition().with_icons(bad()))),
        ),
        (
            "resource",
            Server::builder("Test").resource(Defined(each.definition().with_icons(bad()))),
        ),
        (
            "prompt",
            Server::builder("Test").prompt(DefinedPrompt(prompt)),
        ),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(&format!("the {kind} `a")), "{error}");
        assert!(error.contains("neither an https:"), "{error}");
    }
}

struct DefinedPrompt(PromptDefinition);

impl Prompt for DefinedPrompt {
    fn definition(&self) -> PromptDefinition {
        self.0.clone()
    }

    fn render(
        &self,
        _cx: Context,
        _arguments: JsonObject,
    ) -> BoxFuture<'_, Result<PromptResult, PromptError>> {
        Box::pin(async { Ok("".into()) })
    }
}

#[test]
fn what_is_left_unchecked_must_be_a_parameter() {
    let definition = search.definition().with_unchecked("w");
    let error = Server::builder("Test")
        .resource(Defined(definition))
        .build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("does not check `w`"), "{error}");
}

struct Defined(ResourceDefinition);

impl Resource for Defined {
    fn definition(&self) -> ResourceDefinition {
        self.0.clone()
    }

    fn read(
        &self,
        _cx: Context,
        _request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
        Box::pin(async { Ok(ResourceResult::default()) })
    }
}
