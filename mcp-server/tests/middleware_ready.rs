//! The middleware that comes with the server: another try, and a limit of results.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mcp_server::middleware::{CallError, Message, Next, ResponseLimiting, Retry};
use mcp_server::types::ContentBlock;
use mcp_server::{
    Client, PromptError, ResourceError, Server, ServerBuilder, State, ToolError, ToolResult,
    prompt, resource, tool,
};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How often something was tried, and the first time that it works.
#[derive(Clone, Default)]
struct Tries(Arc<AtomicUsize>, usize);

impl Tries {
    fn begin(&self) -> io::Result<usize> {
        let tried = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        if tried < self.1 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(tried)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tool(annotations(read_only))]
async fn read(tries: State<Tries>) -> Result<usize, ToolError> {
    Ok(tries.begin()?)
}

#[tool]
async fn write(tries: State<Tries>) -> Result<usize, ToolError> {
    Ok(tries.begin()?)
}

#[tool(annotations(idempotent))]
async fn refuse(tries: State<Tries>) -> Result<usize, ToolError> {
    tries.begin().map_err(|_error| ToolError::new("no"))
}

#[resource("text://it")]
fn page(tries: State<Tries>) -> Result<String, ResourceError> {
    Ok(tries.begin()?.to_string())
}

#[prompt]
fn say(tries: State<Tries>) -> Result<String, PromptError> {
    Ok(tries.begin()?.to_string())
}

async fn connect(retry: Retry, tries: &Tries) -> Client {
    let server = Server::builder("Retry")
        .with_state(tries.clone())
        .middleware(retry);
    let server = server
        .tool(read)
        .tool(write)
        .tool(refuse)
        .resource(page)
        .prompt(say);
    Client::connect(&server.build().unwrap()).await.unwrap()
}

fn at_try(works: usize) -> Tries {
    Tries(Arc::default(), works)
}

#[tokio::test(start_paused = true)]
async fn what_has_failed_for_a_moment_is_tried_again() {
    let tries = at_try(4);
    let client = connect(Retry::new(), &tries).await;
    assert_eq!(client.call_tool::<usize>("read", ()).await.unwrap(), 4);
    let tries = at_try(3);
    let client = connect(Retry::new(), &tries).await;
    client.read_resource("text://it").await.unwrap();
    assert_eq!(tries.count(), 3);
    let tries = at_try(3);
    let client = connect(Retry::new(), &tries).await;
    client.get_prompt("say", ()).await.unwrap();
    assert_eq!(tries.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_so_often_and_no_more() {
    let tries = at_try(usize::MAX);
    let client = connect(Retry::new().tries(2), &tries).await;
    client.call_tool::<usize>("read", ()).await.unwrap_err();
    assert_eq!(tries.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_may_have_done_its_work_is_not_called_again_unless_told_so() {
    let tries = at_try(2);
    let client = connect(Retry::new(), &tries).await;
    client.call_tool::<usize>("write", ()).await.unwrap_err();
    assert_eq!(tries.count(), 1);
    let tries = at_try(2);
    let client = connect(Retry::new().all_tools(), &tries).await;
    assert_eq!(client.call_tool::<usize>("write", ()).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_component_tells_its_client_is_final_unless_told_otherwise() {
    let tries = at_try(2);
    let client = connect(Retry::new(), &tries).await;
    client.call_tool::<usize>("refuse", ()).await.unwrap_err();
    assert_eq!(tries.count(), 1);
    let tries = at_try(2);
    let retry = Retry::new().when(|error| error.message() == Some("no"));
    let client = connect(retry, &tries).await;
    assert_eq!(client.call_tool::<usize>("refuse", ()).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_try_begins_after_the_time_limit() {
    let tries = at_try(usize::MAX);
    let retry = Retry::new().tries(1000).time_limit(Duration::from_secs(30));
    let client = connect(retry, &tries).await;
    let start = Instant::now();
    client.call_tool::<usize>("read", ()).await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(30));
    assert!((3..30).contains(&tries.count()), "{}", tries.count());
}

/// Says much, in text or otherwise.
#[tool]
async fn much(kind: String, length: usize) -> Result<ToolResult, ToolError> {
    let text = "ä\"\n".repeat(length / 4);
    match kind.as_str() {
        "texts" => Ok(ToolResult::text("first").with_content(ContentBlock::text(text))),
        "image" => Ok(ContentBlock::image("A".repeat(length), "image/png").into()),
        "fail" => Err(ToolError::new(text)),
        _ => Ok(ToolResult::text("short")),
    }
}

#[tool]
async fn number() -> u8 {
    7
}

fn limited(limit: ResponseLimiting) -> ServerBuilder {
    Server::builder("Limited")
        .middleware(limit)
        .tool(much)
        .tool(number)
}

async fn result_of(limit: ResponseLimiting, kind: &str) -> Value {
    let server = limited(limit).build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    let arguments = json!({ "kind": kind, "length": 100_000 });
    let result = client.call_tool_result("much", arguments).await.unwrap();
    serde_json::to_value(result).unwrap()
}

#[tokio::test]
async fn a_result_that_is_too_long_becomes_the_beginning_of_its_text() {
    let cut = result_of(ResponseLimiting::new(1000), "texts").await;
    assert!(cut.to_string().len() <= 1000, "{cut}");
    assert!(cut.to_string().len() > 700, "{cut}");
    let text = cut["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("first\nä\"\nä\""), "{text}");
    assert!(text.ends_with("bytes, of at most 1000]"), "{text}");
}

#[tokio::test]
async fn the_message_of_an_error_that_is_too_long_is_cut_too() {
    let cut = result_of(ResponseLimiting::new(1000), "fail").await;
    assert_eq!(cut["isError"], true);
    assert!(cut.to_string().len() <= 1000, "{cut}");
    assert!(
        cut["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("[cut:")
    );
}

#[tokio::test]
async fn what_is_no_text_is_left_out_of_a_result_that_is_too_long() {
    let cut = result_of(ResponseLimiting::new(1000), "image").await;
    assert_eq!(cut["content"].as_array().unwrap().len(), 1);
    assert!(
        cut["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("[cut:")
    );
}

#[tokio::test]
async fn a_result_that_fits_and_that_of_another_tool_stay_as_they_are() {
    let whole = result_of(ResponseLimiting::new(1000), "short").await;
    assert_eq!(whole["content"][0]["text"], "short");
    let other = result_of(ResponseLimiting::new(1000).tools(["number"]), "image").await;
    assert_eq!(other["content"][0]["data"].as_str().unwrap().len(), 100_000);
}

#[tokio::test]
async fn no_limit_is_too_small() {
    let cut = result_of(ResponseLimiting::new(0), "texts").await;
    assert!(
        cut["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("[cut:")
    );
}

#[tokio::test]
async fn tools_that_are_limited_show_no_output_schema() {
    for (limit, shown) in [
        (ResponseLimiting::default(), false),
        (ResponseLimiting::default().tools(["much"]), true),
    ] {
        let server = limited(limit).build().unwrap();
        let client = Client::connect(&server).await.unwrap();
        let tools = client.list_tools().await.unwrap();
        let listed = tools.iter().find(|tool| tool.name == "number").unwrap();
        assert_eq!(listed.output_schema.is_some(), shown);
    }
}

#[tokio::test]
async fn what_is_within_a_retry_sees_each_try() {
    let tries = at_try(3);
    let seen = Tries::default();
    let within = seen.clone();
    let server = Server::builder("Retry")
        .with_state(tries)
        .middleware(Retry::new().first_pause(Duration::from_millis(1)))
        .middleware(move |message: Message, next: Next| {
            let within = within.clone();
            async move {
                if message.method() == "tools/call" {
                    within.begin().map_err(CallError::internal)?;
                }
                next.run(message).await
            }
        })
        .tool(read);
    let client = Client::connect(&server.build().unwrap()).await.unwrap();
    client.call_tool::<usize>("read", ()).await.unwrap();
    assert_eq!(seen.count(), 3);
}
