//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capacity;
mod conformance;
mod listing;
mod race;
mod space;
mod support;
mod times;
