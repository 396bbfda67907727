//! Tools that ask their client something, and with that its user or its model.
#![expect(
    deprecated,
    reason = "roots work until the protocol drops them (SEP-2577)"
)]

use mcp_server::types::{Root, object};
use mcp_server::{AskError, Context, Elicited, ToolError, tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Account {
    /// User's response
    username: String,
    /// User's email address
    email: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Profile {
    #[schemars(extend("default" = "John Doe"))]
    name: String,
    #[schemars(extend("default" = 30))]
    age: i64,
    #[schemars(extend("default" = 95.5))]
    score: f64,
    #[schemars(extend("default" = "active"))]
    status: Status,
    #[schemars(extend("default" = true))]
    verified: bool,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
    Pending,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Person {
    name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Taste {
    color: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Consent {
    ok: bool,
}

/// What the user adds to a prompt.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Background {
    pub(crate) context: String,
}

/// Asks the client's model.
#[tool(name = "test_sampling")]
pub(crate) async fn sampling(
    cx: Context,
    /// What to ask it
    prompt: String,
) -> Result<String, ToolError> {
    let answer = cx.sample(prompt).max_tokens(100).await?;
    Ok(format!("LLM response: {}", answer.text()))
}

/// Needs a client whose model can be asked.
#[tool(name = "test_missing_capability")]
pub(crate) async fn missing_capability(cx: Context) -> Result<String, ToolError> {
    Ok(cx.sample("Are you there?").await?.text())
}

/// Asks the user for an account.
#[tool(name = "test_elicitation")]
pub(crate) async fn elicitation(
    cx: Context,
    /// What to ask for
    message: String,
) -> Result<String, ToolError> {
    let answer = cx.elicit::<Account>(message).await?;
    Ok(format!("User response: {}", outcome(&answer)))
}

/// Asks the user, on whatever connection.
#[tool(name = "test_streaming_elicitation")]
pub(crate) async fn streaming_elicitation(cx: Context) -> Result<String, ToolError> {
    let answer = cx.elicit::<Person>("Who are you?").await?;
    Ok(hello(answer))
}

/// Asks the user with a form that is filled in already.
#[tool(name = "test_elicitation_sep1034_defaults")]
pub(crate) async fn elicitation_defaults(cx: Context) -> Result<String, ToolError> {
    let answer = cx.elicit::<Profile>("Is this right?").await?;
    Ok(format!("Elicitation completed: {}", outcome(&answer)))
}

/// Asks the user to choose, in every way that a form has.
#[tool(name = "test_elicitation_sep1330_enums")]
pub(crate) async fn elicitation_enums(cx: Context) -> Result<String, ToolError> {
    let form = object(json!({
        "type": "object",
        "properties": {
            "untitledSingle": {
                "type": "string",
                "enum": ["option1", "option2", "option3"],
            },
            "titledSingle": {
                "type": "string",
                "oneOf": [
                    { "const": "value1", "title": "First Option" },
                    { "const": "value2", "title": "Second Option" },
                    { "const": "value3", "title": "Third Option" },
                ],
            },
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {
                "type": "array",
                "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
            },
            "titledMulti": {
                "type": "array",
                "items": {
                    "anyOf": [
                        { "const": "value1", "title": "First Choice" },
                        { "const": "value2", "title": "Second Choice" },
                        { "const": "value3", "title": "Third Choice" },
                    ],
                },
            },
        },
    }));
    let answer = cx.elicit::<Value>("Choose").schema(form).await?;
    Ok(format!("Elicitation completed: {}", outcome(&answer)))
}

/// Asks the user for a name.
#[tool(name = "test_input_required_result_elicitation")]
pub(crate) async fn user_name(cx: Context) -> Result<String, ToolError> {
    let answer = cx
        .elicit::<Person>("What is your name?")
        .key("user_name")
        .await?;
    Ok(hello(answer))
}

/// Asks the client's model for a capital.
#[tool(name = "test_input_required_result_sampling")]
pub(crate) async fn capital_question(cx: Context) -> Result<String, ToolError> {
    let question = cx.sample("What is the capital of France?").max_tokens(100);
    Ok(question.key("capital_question").await?.text())
}

/// Asks for the folders that the client works in.
#[tool(name = "test_input_required_result_list_roots")]
pub(crate) async fn client_roots(cx: Context) -> Result<String, ToolError> {
    let roots = cx.list_roots().key("client_roots").await?;
    Ok(uris(&roots))
}

/// Asks the user, and trusts what it has sealed.
#[tool(name = "test_input_required_result_request_state")]
pub(crate) async fn request_state(cx: Context) -> Result<String, ToolError> {
    let state = cx.once("state", async { "state-ok".to_owned() }).await?;
    confirm(&cx).await?;
    Ok(state)
}

/// Asks the user, the model and the client at once.
#[tool(name = "test_input_required_result_multiple_inputs")]
pub(crate) async fn multiple_inputs(cx: Context) -> Result<String, ToolError> {
    let (name, greeting, roots) = tokio::try_join!(
        cx.elicit::<Person>("What is your name?").key("user_name"),
        cx.sample("Generate a greeting")
            .max_tokens(50)
            .key("greeting"),
        cx.list_roots().key("client_roots"),
    )?;
    let (greeting, roots) = (greeting.text(), uris(&roots));
    Ok(format!("{} {greeting} You work in {roots}", hello(name)))
}

/// Asks the user twice.
#[tool(name = "test_input_required_result_multi_round")]
pub(crate) async fn multi_round(cx: Context) -> Result<String, ToolError> {
    let name = cx
        .elicit::<Person>("Step 1: What is your name?")
        .key("step1")
        .await?;
    let taste = cx
        .elicit::<Taste>("Step 2: What is your favorite color?")
        .key("step2")
        .await?;
    let color = taste.accepted().map_or_else(String::new, |it| it.color);
    Ok(format!("{} You like {color}.", hello(name)))
}

/// Asks the user; a client that changes the state is refused.
#[tool(name = "test_input_required_result_tampered_state")]
pub(crate) async fn tampered_state(cx: Context) -> Result<String, ToolError> {
    confirm(&cx).await?;
    Ok("Nobody has touched the state.".to_owned())
}

/// Asks whoever can be asked.
#[tool(name = "test_input_required_result_capabilities")]
pub(crate) async fn capabilities(cx: Context) -> Result<String, ToolError> {
    let (person, model) = tokio::join!(
        cx.elicit::<Person>("What is your name?").key("user_name"),
        cx.sample("Generate a greeting").key("greeting"),
    );
    match (person, model) {
        (Err(AskError::Unsupported { .. }), model) => Ok(model?.text()),
        (person, Err(AskError::Unsupported { .. })) => Ok(hello(person?)),
        (person, model) => Ok(format!("{} {}", hello(person?), model?.text())),
    }
}

async fn confirm(cx: &Context) -> Result<(), ToolError> {
    let answer = cx
        .elicit::<Consent>("Please confirm")
        .key("confirm")
        .await?;
    match answer.accepted() {
        Some(Consent { ok: true }) => Ok(()),
        _ => Err(ToolError::new("You have not confirmed.")),
    }
}

fn hello(answer: Elicited<Person>) -> String {
    match answer.accepted() {
        Some(person) => format!("Hello, {}!", person.name),
        None => "Hello, whoever you are!".to_owned(),
    }
}

fn outcome<T: Serialize>(answer: &Elicited<T>) -> String {
    match answer {
        Elicited::Accepted(content) => format!("action=accept, content={}", json!(content)),
        Elicited::Declined => "action=decline".to_owned(),
        _ => "action=cancel".to_owned(),
    }
}

fn uris(roots: &[Root]) -> String {
    let uris: Vec<_> = roots.iter().map(|root| root.uri.as_str()).collect();
    uris.join(", ")
}
