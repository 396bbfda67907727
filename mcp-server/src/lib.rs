#![doc = include_str!("../README.md")]

// The macros write `::mcp_server`, in this crate too.
#[allow(
    unused_extern_crates,
    reason = "only the code that macros write names it"
)]
extern crate self as mcp_server;

pub mod ask;
mod auth;
mod builder;
pub mod cli;
pub mod client;
mod completion;
mod component;
mod context;
mod error;
mod hash;
mod icon;
mod keys;
pub mod logging;
pub mod middleware;
mod private;
mod prompts;
mod resources;
mod server;
pub mod state;
pub mod storage;
mod tasks;
mod tools;
mod transport;
mod version;

pub use ask::{AskError, Elicited, Sampled};
pub use auth::Principal;
pub use axum;
pub use builder::ServerBuilder;
pub use client::Client;
pub use completion::{Choices, Complete, CompletionRequest};
pub use context::{Context, FromContext, LogLevel, MissingState, Progress, State};
pub use error::{BoxError, Error, PromptError, ResourceError, Result, ToolError};
pub use futures_util::future::BoxFuture;
pub use icon::IconExt;
pub use keys::ServerKeys;
#[doc = include_str!("docs/prompt.md")]
pub use mcp_server_macros::prompt;
#[doc = include_str!("docs/resource.md")]
pub use mcp_server_macros::resource;
#[doc = include_str!("docs/tool.md")]
pub use mcp_server_macros::tool;
pub use prompts::{IntoMessage, Prompt, PromptDefinition, PromptResult};
pub use resources::{
    BytesResource, DirectoryFiles, DirectoryResource, FileResource, HttpResource, Resource,
    ResourceDefinition, ResourceRequest, ResourceResult, TextResource,
};
pub use server::{Server, ServerHandle};
pub use state::SessionId;
pub use tasks::TaskOptions;
pub use tools::{
    Audio, File, Image, IntoContent, IntoToolResult, Tool, ToolDefinition, ToolExt, ToolResult,
    Transformed, tool_fn,
};
pub use transport::Transport;

#[doc(hidden)]
pub mod __private {
    pub use crate::private::*;
}

/// The MCP protocol's own types: contents, messages, annotations, icons.
pub mod types {
    #[doc(inline)]
    pub use rmcp::model::*;
}
