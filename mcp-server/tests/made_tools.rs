//! Tools made of closures and of other tools.

use mcp_server::types::{JsonObject, ToolAnnotations};
use mcp_server::{Server, ServerBuilder, Tool, ToolDefinition, ToolError, ToolExt, tool, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::tools::{call, client, listed, reason, refusal, serving, text};

#[derive(Deserialize, JsonSchema)]
struct Sum {
    /// What to add
    #[schemars(length(max = 3))]
    numbers: Vec<i64>,
}

#[tokio::test]
async fn a_closure_is_a_tool() {
    let offset = 10;
    let sum = tool_fn(
        ToolDefinition::new("sum").with_description("Adds"),
        move |_cx, Sum { numbers }: Sum| async move {
            let sum: i64 = numbers.iter().sum();
            if sum < 0 {
                return Err(ToolError::new("too little"));
            }
            Ok(sum + offset)
        },
    );
    let nothing = tool_fn(ToolDefinition::new("nothing"), |_cx, _: JsonObject| async {
        Ok(())
    });
    let client = client(serving(sum).tool(nothing)).await;
    let tool = listed(&client, "sum").await;
    assert_eq!(tool["description"], "Adds");
    assert_eq!(
        tool["inputSchema"]["properties"]["numbers"]["description"],
        "What to add"
    );
    assert_eq!(tool["inputSchema"]["additionalProperties"], false);
    assert_eq!(
        tool["outputSchema"]["properties"]["result"]["type"],
        "integer"
    );
    let result = call(&client, "sum", json!({"numbers": [1.0, "2"]})).await;
    assert_eq!(result.structured_content, Some(json!({"result": 13})));
    assert_eq!(
        refusal(&client, "sum", json!({"numbers": [-1]})).await,
        "too little"
    );
    assert_eq!(
        refusal(&client, "sum", json!({"numbers": [1, 2, 3, 4]})).await,
        "argument `numbers`: it has more than 3 items"
    );
    let result = call(&client, "nothing", json!({"any": "thing"})).await;
    assert!(result.content.is_empty() && result.structured_content.is_none());
}

#[tool(title = "Search", annotations(read_only))]
async fn search(index: String, query: String, #[schemars(range(max = 50))] limit: u32) -> String {
    format!("{limit} of {query} in {index}")
}

#[tokio::test]
async fn a_changed_tool_says_what_it_takes_and_passes_it_on() {
    let find = search
        .renamed("find_book")
        .hide_argument("index", "books")
        .rename_argument("query", "title")
        .default_argument("limit", 10)
        .map_arguments(|mut arguments| {
            if arguments["title"] == "" {
                return Err(ToolError::new("name a title"));
            }
            arguments["title"] = format!("{}!", arguments["title"].as_str().unwrap()).into();
            Ok(arguments)
        })
        .map_definition(|definition| definition.with_description("Finds a book"));
    let client = client(serving(find).tool(search)).await;
    let tool = listed(&client, "find_book").await;
    assert_eq!(tool["title"], "Search");
    assert_eq!(tool["description"], "Finds a book");
    let hints = serde_json::to_value(ToolAnnotations::new().read_only(true)).unwrap();
    assert_eq!(tool["annotations"], hints);
    let schema = &tool["inputSchema"];
    assert_eq!(schema["required"], json!(["title"]));
    assert_eq!(
        schema["properties"],
        json!({
            "title": {"type": "string"},
            "limit": {
                "type": "integer", "format": "uint32", "minimum": 0, "maximum": 50, "default": 10,
            },
        })
    );
    let arguments = json!({"title": "Emma"});
    assert_eq!(
        text(&client, "find_book", arguments).await,
        "10 of Emma! in books"
    );
    let arguments = json!({"title": "Emma", "limit": "2"});
    assert_eq!(
        text(&client, "find_book", arguments).await,
        "2 of Emma! in books"
    );
    assert_eq!(
        refusal(&client, "find_book", json!({"title": ""})).await,
        "name a title"
    );
    assert_eq!(
        refusal(
            &client,
            "find_book",
            json!({"title": 1, "limit": 51, "index": "all"})
        )
        .await,
        "argument `limit`: it is greater than the maximum of 50\n\
         argument `title`: expected string, got integer\n\
         unknown argument `index`; known: limit, title"
    );
    let arguments = json!({"index": "all", "query": "x", "limit": 1});
    assert_eq!(text(&client, "search", arguments).await, "1 of x in all");
}

#[test]
fn a_change_to_what_is_not_there_is_refused_when_the_server_is_built() {
    let no_argument = "it has no argument `page` to change";
    assert_eq!(
        reason(serving(search.hide_argument("page", 1))),
        no_argument
    );
    assert_eq!(
        reason(serving(search.default_argument("page", 1))),
        no_argument
    );
    assert_eq!(
        reason(serving(search.rename_argument("page", "p"))),
        no_argument
    );
    assert_eq!(
        reason(serving(search.rename_argument("query", "index"))),
        "two arguments are called `index`"
    );
    assert_eq!(
        reason(serving(search.hide_argument("limit", 51))),
        "argument `limit`: it is greater than the maximum of 50"
    );
    assert_eq!(
        reason(serving(search.default_argument("index", 1))),
        "argument `index`: expected string, got integer"
    );
    let hidden_twice = search.hide_argument("limit", 1).hide_argument("limit", 2);
    assert_eq!(
        reason(serving(hidden_twice)),
        "it has no argument `limit` to change"
    );
}

#[tokio::test]
async fn pointers_to_tools_are_tools() {
    let tools: Vec<Box<dyn Tool>> = vec![Box::new(search), Box::new(search.renamed("find"))];
    let server = tools
        .into_iter()
        .fold(Server::builder("Test"), ServerBuilder::tool);
    assert_eq!(client(server).await.list_tools().await.unwrap().len(), 2);
}
