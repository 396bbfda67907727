//! Components in several versions.

use std::sync::Arc;
use std::time::Duration;

use kv_core::ManualClock;
use kv_memory::MemoryStore;
use mcp_server::client::ClientError;
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, CompleteRequestParams, ErrorCode, RequestMetaObject,
    TaskPayload, object,
};
use mcp_server::{
    Client, Context, Error, Server, ServerBuilder, TextResource, ToolError, ToolExt, prompt,
    resource, tool,
};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool(name = "add", version = "1.0")]
async fn add_two(a: i64, b: i64) -> i64 {
    a + b
}

/// Adds any number of numbers.
#[tool(name = "add", version = "2.0", tags("math"))]
async fn add_all(numbers: Vec<i64>) -> i64 {
    numbers.into_iter().sum()
}

#[tool]
async fn plain() -> &'static str {
    "plain"
}

#[resource("config://app", version = "1")]
fn old_config() -> &'static str {
    "old"
}

#[resource("config://app", version = "2")]
fn config() -> &'static str {
    "new"
}

#[resource("user://{id}", version = "1")]
fn old_user(id: String) -> String {
    format!("old {id}")
}

#[resource("user://{id}", version = "2")]
fn user(#[complete("grace")] id: String) -> String {
    format!("new {id}")
}

#[prompt(name = "review", version = "1")]
fn old_review() -> &'static str {
    "Review it."
}

#[prompt(name = "review", version = "2")]
fn review(#[complete("brief", "thorough")] style: String) -> String {
    format!("Give it a {style} review.")
}

/// Asks for a name, and greets.
#[tool(version = "1")]
async fn greet(cx: Context) -> Result<String, ToolError> {
    let name = cx.elicit::<String>("Who are you?").await?.accepted();
    Ok(format!("Hello {}", name.unwrap_or_default()))
}

fn builder() -> ServerBuilder {
    // The order in which they are added is that of no version.
    Server::builder("Versions")
        .tool(add_all)
        .tool(add_two)
        .tool(plain)
        .tool(greet)
        .resource(config)
        .resource(old_config)
        .resource(old_user)
        .resource(user)
        .prompt(old_review)
        .prompt(review)
}

async fn connect() -> Client {
    let server = builder().build().unwrap();
    Client::connect(&server).await.unwrap()
}

fn text(contents: impl serde::Serialize) -> String {
    let contents = serde_json::to_value(contents).unwrap();
    let text = contents.pointer("/contents/0/text");
    let text = text.or(contents.pointer("/messages/0/content/text"));
    text.and_then(Value::as_str).unwrap().to_owned()
}

fn message(error: ClientError) -> String {
    match error {
        ClientError::Refused { code, message, .. } if code == ErrorCode::INVALID_PARAMS.0 => {
            message
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_call_without_a_version_is_that_of_the_highest() {
    let client = connect().await;
    let sum: i64 = client
        .call_tool("add", json!({ "numbers": [1, 2, 3] }))
        .await
        .unwrap();
    assert_eq!(sum, 6);
    assert_eq!(
        text(client.read_resource("config://app").await.unwrap()),
        "new"
    );
    assert_eq!(
        text(client.read_resource("user://ada").await.unwrap()),
        "new ada"
    );
    let rendered = client
        .get_prompt("review", json!({ "style": "brief" }))
        .await;
    assert_eq!(text(rendered.unwrap()), "Give it a brief review.");
}

#[tokio::test]
async fn a_call_with_a_version_is_that_of_this_one() {
    let client = connect().await;
    let client = client.at_version("v1");
    let sum: i64 = client
        .call_tool("add", json!({ "a": 1, "b": 2 }))
        .await
        .unwrap();
    assert_eq!(sum, 3);
    assert_eq!(
        text(client.read_resource("config://app").await.unwrap()),
        "old"
    );
    assert_eq!(
        text(client.read_resource("user://ada").await.unwrap()),
        "old ada"
    );
    assert_eq!(
        text(client.get_prompt("review", ()).await.unwrap()),
        "Review it."
    );
}

#[tokio::test]
async fn a_component_without_a_version_is_there_in_any() {
    let client = connect().await;
    let said: String = client.at_version("7").call_tool("plain", ()).await.unwrap();
    assert_eq!(said, "plain");
}

#[tokio::test]
async fn a_range_is_the_highest_version_in_it() {
    let client = connect().await;
    for (range, sum) in [
        (json!({ "lt": "2.0" }), json!({ "a": 1, "b": 2 })),
        (json!({ "gte": "1.0" }), json!({ "numbers": [1, 2] })),
        (
            json!({ "gte": "0.5", "lt": "1.5" }),
            json!({ "a": 1, "b": 2 }),
        ),
    ] {
        let mut params = CallToolRequestParams::new("add");
        params.arguments = Some(object(sum));
        let meta = object(json!({ "fastmcp": { "version": range } }));
        params.meta = Some(RequestMetaObject::from(meta));
        let CallToolResponse::Complete(result) = client.call_tool_once(params).await.unwrap()
        else {
            panic!("it asks nothing");
        };
        assert_eq!(result.structured_content.unwrap()["result"], 3);
    }
}

#[tokio::test]
async fn a_version_that_is_not_there_is_named_in_the_refusal() {
    let client = connect().await;
    let client = client.at_version("3.0");
    let refused = client.call_tool::<Value>("add", ()).await.unwrap_err();
    assert_eq!(message(refused), "Unknown tool: 'add' in version 3.0");
    let refused = client.get_prompt("review", ()).await.unwrap_err();
    assert_eq!(message(refused), "Unknown prompt: 'review' in version 3.0");
    for uri in ["config://app", "user://ada"] {
        let refused = client.read_resource(uri).await.unwrap_err().to_string();
        assert!(refused.contains("in version 3.0"), "{refused}");
    }
}

#[tokio::test]
async fn a_version_that_makes_no_sense_is_refused() {
    let server = Served::new(builder().build().unwrap().into_router().unwrap()).await;
    let session = server.handshake().await;
    for version in [
        json!(1),
        json!("1 2"),
        json!("\u{7f}".repeat(100_000)),
        json!({ "newest": true }),
    ] {
        let params = json!({
            "name": "plain", "arguments": {}, "_meta": { "fastmcp": { "version": version } },
        });
        let answer = server.ask_in(&session, "tools/call", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert!(answer.to_string().len() < 4096);
    }
}

#[tokio::test]
async fn lists_show_the_highest_version_and_name_the_others() {
    let client = connect().await;
    let tools = client.list_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["add", "greet", "plain"]);
    let add = serde_json::to_value(&tools[0]).unwrap();
    assert_eq!(add["description"], "Adds any number of numbers.");
    assert_eq!(
        add["_meta"]["fastmcp"],
        json!({ "tags": ["math"], "version": "2.0", "versions": ["2.0", "1.0"] })
    );
    assert!(tools[2].meta.is_none());
    let versions = json!({ "fastmcp": { "version": "2", "versions": ["2", "1"] } });
    let resources = client.list_resources().await.unwrap();
    assert_eq!(
        serde_json::to_value(&resources).unwrap()[0]["_meta"],
        versions
    );
    let templates = client.list_resource_templates().await.unwrap();
    assert_eq!(
        serde_json::to_value(&templates).unwrap()[0]["_meta"],
        versions
    );
    let prompts = client.list_prompts().await.unwrap();
    assert_eq!(
        serde_json::to_value(&prompts).unwrap()[0]["_meta"],
        versions
    );
    assert_eq!((resources.len(), templates.len(), prompts.len()), (1, 1, 1));
}

#[tokio::test]
async fn suggestions_are_those_of_the_version() {
    let client = connect().await;
    for (reference, argument, at_2) in [
        (
            json!({ "type": "ref/prompt", "name": "review" }),
            "style",
            2,
        ),
        (
            json!({ "type": "ref/resource", "uri": "user://{id}" }),
            "id",
            1,
        ),
    ] {
        for (version, count) in [(None, at_2), (Some("2"), at_2), (Some("1"), 0)] {
            let mut params = json!({
                "ref": reference, "argument": { "name": argument, "value": "" },
            });
            if let Some(version) = version {
                params["_meta"] = json!({ "fastmcp": { "version": version } });
            }
            let params: CompleteRequestParams = serde_json::from_value(params).unwrap();
            let suggested = client.complete(params).await.unwrap().values;
            assert_eq!(suggested.len(), count, "{reference} {version:?}");
        }
    }
}

#[tokio::test]
async fn two_spellings_of_one_version_are_a_duplicate() {
    let again = add_two.map_definition(|definition| definition.with_version("1"));
    match builder().tool(again).build() {
        Err(Error::Duplicate { kind, name }) => assert_eq!((kind, &*name), ("tool", "add@1")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn either_all_of_a_name_have_a_version_or_none() {
    for (tool, name) in [("add", "add"), ("plain", "plain")] {
        let version = (tool == "plain").then(|| "2".to_owned());
        let other = plain.map_definition(move |mut definition| {
            name.clone_into(&mut definition.name);
            definition.version.clone_from(&version);
            definition
        });
        let error = builder().tool(other).build().unwrap_err().to_string();
        assert!(error.contains("give all of them one"), "{error}");
    }
    let resource = TextResource::new("config://app", "no version");
    let error = builder().resource(resource).build().unwrap_err();
    assert!(matches!(error, Error::InvalidComponent { .. }), "{error}");
}

#[tokio::test]
async fn a_version_is_checked_when_the_server_is_built() {
    let broken = plain.map_definition(|definition| definition.with_version("a@b"));
    let error = Server::builder("Broken").tool(broken).build().unwrap_err();
    assert!(error.to_string().contains("a@b"), "{error}");
}

#[tokio::test]
async fn versions_come_and_go_while_the_server_runs() {
    let server = builder().build().unwrap();
    let (client, handle) = (Client::connect(&server).await.unwrap(), server.handle());
    let versions = || {
        let tools = serde_json::to_value(handle.tools()).unwrap();
        tools[0]["_meta"]["fastmcp"]["versions"].clone()
    };
    handle
        .add_tool(add_two.map_definition(|definition| definition.with_version("10.0")))
        .unwrap();
    assert_eq!(versions(), json!(["10.0", "2.0", "1.0"]));
    assert!(handle.remove_tool_version("add", "2"));
    assert!(!handle.remove_tool_version("add", "2"));
    assert!(!handle.remove_tool_version("plain", "2"));
    assert_eq!(versions(), json!(["10.0", "1.0"]));
    let client = client.at_version("1.0");
    let sum: i64 = client
        .call_tool("add", json!({ "a": 1, "b": 2 }))
        .await
        .unwrap();
    assert_eq!(sum, 3);
    assert!(handle.remove_tool("add"));
    assert_eq!(handle.tools().len(), 2);
    assert!(handle.remove_resource_version("config://app", "1"));
    assert!(handle.remove_resource_version("user://{id}", "1"));
    assert!(handle.remove_prompt_version("review", "1"));
    for (lists, count) in [
        (handle.resources().len(), 1),
        (handle.resource_templates().len(), 1),
        (handle.prompts().len(), 1),
    ] {
        assert_eq!(lists, count);
    }
}

#[tokio::test]
async fn a_disabled_tool_is_gone_in_all_versions() {
    let server = builder().build().unwrap();
    let client = Client::connect(&server).await.unwrap();
    client.call_tool::<String>("plain", ()).await.unwrap();
    server.handle().disable_tool("add").await.unwrap();
    for version in ["1.0", "2.0"] {
        let client = client.at_version(version);
        client.call_tool::<Value>("add", ()).await.unwrap_err();
    }
}

#[tokio::test]
async fn an_answer_does_not_go_to_another_version() {
    let server = builder().build().unwrap();
    let handle = server.handle();
    let builder = Client::builder().elicitation_handler(async |_| unreachable!());
    let client = builder.connect(&server).await.unwrap();
    let mut params = CallToolRequestParams::new("greet");
    let asked = client.call_tool_once(params.clone()).await.unwrap();
    let CallToolResponse::InputRequired(asked) = asked else {
        panic!("{asked:?}");
    };
    handle
        .add_tool(greet.map_definition(|definition| definition.with_version("2")))
        .unwrap();
    params.request_state = asked.request_state;
    let key = asked.input_requests.unwrap().into_keys().next().unwrap();
    let ada = json!({ "action": "accept", "content": { "value": "Ada" } });
    params.input_responses = Some(serde_json::from_value(json!({ key: ada })).unwrap());
    let refused = client.call_tool_once(params.clone()).await.unwrap_err();
    assert!(message(refused).contains("requestState"));
    let meta = object(json!({ "fastmcp": { "version": "1" } }));
    params.meta = Some(RequestMetaObject::from(meta));
    let answer = client.call_tool_once(params).await.unwrap();
    assert!(
        matches!(answer, CallToolResponse::Complete(_)),
        "{answer:?}"
    );
}

/// Runs until it is stopped.
#[tool(name = "endless", version = "1", task(resume))]
async fn endless() -> u8 {
    std::future::pending().await
}

#[tool(name = "endless", version = "2", task(resume))]
async fn ended() -> u8 {
    2
}

#[tool(name = "endless", version = "1", task(resume))]
async fn ended_before() -> u8 {
    1
}

/// Makes a task of the lowest version on a server that dies.
fn leave_task(store: &MemoryStore) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let id = runtime.block_on(async {
        let server = Server::builder("Dies").storage(store.clone());
        let server = server.tool(endless).tool(ended).build().unwrap();
        let client = Client::builder().tasks().connect(&server).await.unwrap();
        let mut params = CallToolRequestParams::new("endless");
        let meta = object(json!({ "fastmcp": { "version": "1" } }));
        params.meta = Some(RequestMetaObject::from(meta));
        match client.call_tool_once(params).await.unwrap() {
            CallToolResponse::Task(task) => task.task.task_id,
            other => panic!("{other:?}"),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    id
}

#[test]
fn a_task_runs_again_in_its_version_alone() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let id = leave_task(&store);
    clock.advance(Duration::from_secs(30));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let newer = Server::builder("Newer").storage(store.clone()).tool(ended);
        let newer = newer.build().unwrap();
        let client = Client::builder().tasks().connect(&newer).await.unwrap();
        let task = client.get_task(&id).await.unwrap();
        assert!(matches!(task.payload, TaskPayload::Working), "{task:?}");

        let both = Server::builder("Both").storage(store.clone());
        let both = both.tool(ended).tool(ended_before).build().unwrap();
        let client = Client::builder().tasks().connect(&both).await.unwrap();
        let result = loop {
            match client.get_task(&id).await.unwrap().payload {
                TaskPayload::Working => tokio::time::sleep(Duration::from_millis(10)).await,
                TaskPayload::Completed { result } => break result,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(result["structuredContent"]["result"], 1);
    });
}

#[tool(name = "route", version = "1")]
async fn route(region: String) -> String {
    region
}

#[tool(name = "route", version = "2")]
async fn route_by_header(#[schemars(extend("x-mcp-header" = "Region"))] region: String) -> String {
    region
}

#[tokio::test]
async fn headers_are_not_checked_by_the_schema_of_another_version() {
    let both = Server::builder("Both").tool(route).tool(route_by_header);
    let newest = Server::builder("Newest").tool(route_by_header);
    for (server, is_checked) in [(both, false), (newest, true)] {
        let server = Served::new(server.build().unwrap().into_router().unwrap()).await;
        let params = json!({ "name": "route", "arguments": { "region": "eu" } });
        let answer = server.modern("tools/call", "route", params).await;
        assert_eq!(answer["error"].is_object(), is_checked, "{answer}");
    }
}
