//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ask;
mod changes;
mod completion;
mod components;
mod http_client;
// Public, so that lints on what is public look at it.
pub mod hygiene;
mod lists;
mod made_tools;
mod server;
mod state;
mod stop;
mod tasks;
mod tasks_faults;
mod tools;
mod ui;
