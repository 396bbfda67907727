//! A server that remembers: its configuration and its callers' notes live in a store on disk.
//! The notes of a connection with a session, as on stdio, are that session's.
//!
//! Run with: cargo run -p mcp-server --example quickstart

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_disk::DiskStore;
use mcp_server::axum::routing::get;
use mcp_server::cli::TransportKind;
use mcp_server::{BoxError, Context, Server, State, ToolError, prompt, resource, tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the lifespan opens: here, a counter of greetings since the start.
#[derive(Debug, Default)]
struct Greetings(AtomicU64);

/// A configuration entry.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Setting {
    /// Its name
    key: String,
    /// Its value
    value: String,
}

/// Adds two numbers.
#[tool(annotations(read_only))]
async fn add(
    /// First number
    a: i64,
    /// Second number
    b: i64,
) -> Result<i64, ToolError> {
    a.checked_add(b)
        .ok_or_else(|| ToolError::new("the sum does not fit into 64 bits"))
}

/// Sets a configuration entry, for all callers.
#[tool(tags("config"), annotations(idempotent))]
async fn set_config(
    cx: Context,
    /// The entry's name
    key: String,
    /// Its new value
    value: String,
) -> Result<Setting, ToolError> {
    cx.server_state().set(&key, &value).await?;
    Ok(Setting { key, value })
}

/// Returns a configuration entry.
#[tool(tags("config"), annotations(read_only))]
async fn get_config(
    cx: Context,
    /// The entry's name
    key: String,
) -> Result<Setting, ToolError> {
    match cx.server_state().get(&key).await? {
        Some(value) => Ok(Setting { key, value }),
        None => Err(ToolError::new(format!(
            "no configuration entry is called {key:?}"
        ))),
    }
}

/// Remembers something for the caller.
#[tool]
async fn remember(
    cx: Context,
    /// What to remember it as
    key: String,
    /// What to remember
    value: String,
) -> Result<String, ToolError> {
    cx.state().set(&key, &value).await?;
    Ok(format!("I will remember {key}."))
}

/// Recalls what the caller asked to remember.
#[tool(annotations(read_only))]
async fn recall(
    cx: Context,
    /// What it was remembered as
    key: String,
) -> Result<String, ToolError> {
    let value = cx.state().get(&key).await?;
    value.ok_or_else(|| ToolError::new(format!("you have not told me {key:?}")))
}

/// What this server is.
#[resource("info://about", mime_type = "text/plain")]
async fn about() -> &'static str {
    "A quickstart server: it adds, it keeps configuration, and it remembers what you tell it."
}

/// A greeting, and how many there were since the start.
#[resource("greeting://{name}")]
async fn greeting(greetings: State<Greetings>, name: String) -> String {
    let count = greetings.0.fetch_add(1, Ordering::Relaxed) + 1;
    format!("Hello {name}! This is greeting number {count}.")
}

/// Asks for a summary of what the server remembers.
#[prompt]
async fn summarize(
    /// What the summary is about
    topic: String,
) -> String {
    format!("Call recall with the key {topic:?} and summarize what it returns in two sentences.")
}

#[tokio::main]
async fn main() -> mcp_server::Result<()> {
    // Several stdio servers, one for each client, may use the folder at once.
    let store = DiskStore::builder("data").shared().build()?;
    Server::builder("Quickstart")
        .storage(store)
        .lifespan(
            |_store| async { Ok::<_, BoxError>(Greetings::default()) },
            |greetings: Arc<Greetings>| async move {
                tracing::info!(greetings = greetings.0.load(Ordering::Relaxed), "goodbye");
            },
        )
        .tool(add)
        .tool(set_config)
        .tool(get_config)
        .tool(remember)
        .tool(recall)
        .resource(about)
        .resource(greeting)
        .prompt(summarize)
        .route("/health", get(|| async { "ok" }))
        .default_transport(TransportKind::Http)
        .build()?
        .run()
        .await
}
