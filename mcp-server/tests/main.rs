//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ask;
mod components;
mod http_client;
// Public, so that lints on what is public look at it.
pub mod hygiene;
mod server;
mod state;
mod stop;
mod ui;
