//! The fixture of the official MCP conformance suite, and with that one example of everything that a
//! server can do. `tests/tests/conformance.rs` runs the suite against it.
//!
//! Run with: cargo run -p mcp-server --example everything

mod asking;
mod changes;
mod content;
mod prompts;
mod reporting;
mod resources;
mod schemas;
mod tasks;

use mcp_server::Server;
use mcp_server::cli::TransportKind;

#[tokio::main]
async fn main() -> mcp_server::Result<()> {
    Server::builder("Everything")
        .title("Everything that a server can do")
        .instructions("The tools are those that the conformance suite calls.")
        .tool(content::simple_text)
        .tool(content::image)
        .tool(content::audio)
        .tool(content::embedded_resource)
        .tool(content::multiple_content_types)
        .tool(content::old_greeting)
        .tool(content::greeting)
        .tool(content::error_handling)
        .tool(reporting::with_logging)
        .tool(reporting::logging)
        .tool(reporting::with_progress)
        .tool(reporting::reconnection)
        .tool(changes::trigger_tool_change)
        .tool(changes::trigger_prompt_change)
        .tool(changes::trigger_resource_update)
        .tool(schemas::custom_headers)
        .tool(schemas::JsonSchema202012)
        .tool(asking::sampling)
        .tool(asking::missing_capability)
        .tool(asking::elicitation)
        .tool(asking::streaming_elicitation)
        .tool(asking::elicitation_defaults)
        .tool(asking::elicitation_enums)
        .tool(asking::user_name)
        .tool(asking::capital_question)
        .tool(asking::client_roots)
        .tool(asking::request_state)
        .tool(asking::multiple_inputs)
        .tool(asking::multi_round)
        .tool(asking::tampered_state)
        .tool(asking::capabilities)
        .tool(tasks::greet)
        .tool(tasks::slow_compute)
        .tool(tasks::failing_job)
        .tool(tasks::protocol_error_job)
        .tool(tasks::confirm_delete)
        .tool(tasks::multi_input)
        .tool(tasks::ask_then_work)
        .resource(resources::static_text)
        .resource(resources::static_binary)
        .resource(resources::watched)
        .resource(resources::template)
        .prompt(prompts::simple)
        .prompt(prompts::with_arguments)
        .prompt(prompts::with_embedded_resource)
        .prompt(prompts::with_image)
        .prompt(prompts::with_question)
        .default_transport(TransportKind::Http)
        .build()?
        .run()
        .await
}
