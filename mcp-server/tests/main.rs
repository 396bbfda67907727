//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ask;
mod authorization;
mod caching;
mod changes;
mod client;
mod completion;
mod components;
mod files;
mod handles;
mod http_client;
// Public, so that lints on what is public look at it.
pub mod hygiene;
mod lists;
mod load;
mod made_tools;
mod middleware;
mod middleware_logs;
mod middleware_ready;
mod prompts;
mod rate_limits;
mod resources;
mod scopes;
mod server;
mod sessions;
mod state;
mod stop;
mod tasks;
mod tasks_edges;
mod tasks_faults;
mod tasks_runs;
mod tools;
mod ui;
mod versions;
mod web;
