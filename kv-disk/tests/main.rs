//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;
mod conformance;
mod crash;
mod damage;
mod damage_sweep;
mod drop;
mod expiry;
mod full;
mod listing;
mod log;
mod path;
mod processes;
mod role;
mod runtime;
mod shared;
mod support;
