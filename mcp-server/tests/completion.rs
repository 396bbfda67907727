//! Suggestions for what a person types, over HTTP.

use mcp_server::types::PromptArgument;
use mcp_server::{
    BoxError, BoxFuture, Choices, CompletionRequest, Context, Error, Prompt, PromptDefinition,
    PromptError, PromptResult, Server, prompt, resource,
};
use serde_json::{Value, json};

use crate::http_client::Served;

/// Reviews a repository.
#[prompt]
async fn review(
    #[complete("brief", "Broad", "thorough")] style: String,
    #[complete(repositories)] repository: String,
    focus: Option<String>,
) -> String {
    format!("{style} {repository} {focus:?}")
}

async fn repositories(_cx: Context, request: CompletionRequest) -> Result<Vec<String>, BoxError> {
    match request.others.get("style").map(String::as_str) {
        Some("many") => Ok((0..150).map(|n| n.to_string()).collect()),
        Some("broken") => Err("password=hunter2".into()),
        Some("panicking") => panic!("at the disco"),
        style => Ok(vec![format!("{style:?} {}", request.typed)]),
    }
}

#[resource("log://{log-day}")]
async fn log(#[complete("today", "yesterday")] log_day: String) -> String {
    log_day
}

#[resource("log://now")]
async fn now() -> &'static str {
    "nothing"
}

async fn served() -> Served {
    let server = Server::builder("Test").prompt(review);
    let server = server.resource(log).resource(now).build().unwrap();
    Served::new(server.into_router().unwrap()).await
}

async fn complete(reference: Value, argument: Value, known: Value) -> Value {
    let params = json!({
        "ref": reference,
        "argument": argument,
        "context": { "arguments": known },
    });
    served()
        .await
        .modern("completion/complete", "", params)
        .await
}

async fn of_review(argument: &str, typed: &str, known: Value) -> Value {
    let reference = json!({ "type": "ref/prompt", "name": "review" });
    let argument = json!({ "name": argument, "value": typed });
    complete(reference, argument, known).await
}

#[tokio::test]
async fn fixed_values_are_suggested_by_what_is_typed() {
    let answer = of_review("style", "b", json!({})).await;
    let expected = json!({ "values": ["brief", "Broad"], "total": 2, "hasMore": false });
    assert_eq!(answer["result"]["completion"], expected, "{answer}");
}

#[tokio::test]
async fn a_function_sees_what_is_typed_and_the_other_arguments() {
    let answer = of_review("repository", "m", json!({ "style": "brief" })).await;
    let values = &answer["result"]["completion"]["values"];
    assert_eq!(*values, json!([r#"Some("brief") m"#]), "{answer}");
}

#[tokio::test]
async fn a_hundred_values_are_sent_and_the_rest_is_counted() {
    let answer = of_review("repository", "", json!({ "style": "many" })).await;
    let completion = &answer["result"]["completion"];
    assert_eq!(completion["values"].as_array().unwrap().len(), 100);
    assert_eq!(completion["total"], 150);
    assert_eq!(completion["hasMore"], true);
}

#[tokio::test]
async fn a_source_that_fails_or_panics_is_masked() {
    for style in ["broken", "panicking"] {
        let answer = of_review("repository", "", json!({ "style": style })).await;
        assert_eq!(answer["error"]["code"], -32603, "{answer}");
        assert_eq!(answer["error"]["message"], "Error completing 'repository'");
    }
}

#[tokio::test]
async fn an_argument_without_a_source_has_no_suggestions() {
    for argument in ["focus", "unknown"] {
        let answer = of_review(argument, "", json!({})).await;
        assert_eq!(answer["result"]["completion"]["values"], json!([]));
    }
}

#[tokio::test]
async fn a_template_is_completed_by_the_name_that_it_gives() {
    let template = json!({ "type": "ref/resource", "uri": "log://{log-day}" });
    let argument = json!({ "name": "log-day", "value": "y" });
    let answer = complete(template, argument.clone(), json!({})).await;
    let values = &answer["result"]["completion"]["values"];
    assert_eq!(*values, json!(["yesterday"]), "{answer}");
    let literal = json!({ "type": "ref/resource", "uri": "log://now" });
    let answer = complete(literal, argument, json!({})).await;
    assert_eq!(answer["result"]["completion"]["values"], json!([]));
}

#[tokio::test]
async fn an_unknown_component_is_not_completed() {
    for reference in [
        json!({ "type": "ref/prompt", "name": "unknown" }),
        json!({ "type": "ref/resource", "uri": "log://unknown/{day}" }),
    ] {
        let argument = json!({ "name": "style", "value": "" });
        let answer = complete(reference, argument, json!({})).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
}

#[tokio::test]
async fn a_server_without_sources_does_not_know_the_method() {
    let server = Server::builder("Test").resource(now).build().unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    let discovered = served.modern("server/discover", "", json!({})).await;
    let capabilities = &discovered["result"]["capabilities"];
    assert!(capabilities["completions"].is_null(), "{capabilities}");
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "review" },
        "argument": { "name": "style", "value": "" },
    });
    let answer = served.modern("completion/complete", "", params).await;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
}

struct Misspelt;

impl Prompt for Misspelt {
    fn definition(&self) -> PromptDefinition {
        PromptDefinition::new("misspelt")
            .with_argument(PromptArgument::new("color"))
            .with_completion("colour", Choices::new(["red"]))
    }

    fn render(
        &self,
        _cx: Context,
        _arguments: mcp_server::types::JsonObject,
    ) -> BoxFuture<'_, Result<PromptResult, PromptError>> {
        Box::pin(async { Ok("".into()) })
    }
}

#[test]
fn what_is_no_argument_cannot_be_completed() {
    let error = Server::builder("Test")
        .prompt(Misspelt)
        .build()
        .unwrap_err();
    assert!(matches!(error, Error::InvalidComponent { .. }), "{error}");
    assert!(error.to_string().contains("`colour`"), "{error}");
}
