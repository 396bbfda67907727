//! Uses everything that a server offers: calls its tools, reads its resources, renders its prompts.
//!
//! Run with: `cargo run -p mcp-server --example client -- [--handshake] http://localhost:8000/mcp`
//!
//! `--handshake` connects by protocol 2025-11-25, also where the server knows a newer one.
//!
//! The official conformance suite tries the client by this program: it says in
//! `MCP_CONFORMANCE_CONTEXT` which tools to call with what.

#![expect(
    deprecated,
    reason = "sampling works until the protocol drops it (SEP-2577)"
)]

use std::env;
use std::future::ready;

use futures_util::future::join_all;
use mcp_server::client::{Client, ClientMode};
use mcp_server::types::{
    CreateMessageResult, ElicitResult, ElicitationAction, SamplingMessage, Tool,
};
use serde_json::{Map, Value, json};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it is what the program is for")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::args().next_back().unwrap_or_default();
    let mode = if env::args().any(|argument| argument == "--handshake") {
        ClientMode::Handshake
    } else {
        ClientMode::Auto
    };
    let client = Client::builder()
        .mode(mode)
        .elicitation_handler(|_question| {
            // A user who leaves every field as it is.
            ready(ElicitResult::new(ElicitationAction::Accept).with_content(json!({})))
        })
        .sampling_handler(|_question| {
            let said = SamplingMessage::assistant_text("Hello.");
            ready(CreateMessageResult::new(said, "none".to_owned()))
        })
        .connect(url)
        .await?;
    let offers = client.server().capabilities.clone();

    if offers.tools.is_some() {
        let tools = client.list_tools().await?;
        let calls = calls(&tools).into_iter();
        let calls = calls.map(async |(name, arguments)| {
            let answer = client.call_tool_result(&name, arguments).await;
            (name, answer)
        });
        for (name, answer) in join_all(calls).await {
            match answer {
                Ok(answer) => println!("tool {name}: {}", json!(answer)),
                Err(error) => println!("tool {name}: {error}"),
            }
        }
    }
    if offers.resources.is_some() {
        for resource in client.list_resources().await? {
            let read = client.read_resource(&resource.uri).await?;
            println!("resource {}: {}", resource.uri, json!(read));
        }
    }
    if offers.prompts.is_some() {
        for prompt in client.list_prompts().await? {
            let names = prompt.arguments.unwrap_or_default().into_iter();
            let arguments: Map<_, _> = names.map(|it| (it.name, json!("text"))).collect();
            let rendered = client.get_prompt(&prompt.name, arguments).await?;
            println!("prompt {}: {}", prompt.name, json!(rendered));
        }
    }
    client.close().await;
    Ok(())
}

/// Returns the calls to make: those that were asked for, else one of each tool.
fn calls(tools: &[Tool]) -> Vec<(String, Value)> {
    let context = env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    let context: Value = serde_json::from_str(&context).unwrap_or_default();
    if let Some(calls) = context["toolCalls"].as_array() {
        let call =
            |call: &Value| Some((call["name"].as_str()?.to_owned(), call["arguments"].clone()));
        return calls.iter().filter_map(call).collect();
    }
    let one_of_each = tools.iter().map(|tool| {
        let schema = json!(tool.input_schema);
        let properties = schema["properties"].as_object().into_iter().flatten();
        let arguments: Map<_, _> = properties
            .map(|(name, schema)| (name.clone(), example(schema, tools)))
            .collect();
        (tool.name.to_string(), arguments.into())
    });
    one_of_each.collect()
}

/// Makes a value of a schema.
fn example(schema: &Value, tools: &[Tool]) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        // An object as rich as any.
        Some("object") => json!(tools[0].input_schema),
        _ => json!("text"),
    }
}
