//! The tests of kv-encryption.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conformance;
mod killed;
mod large;
mod rotate;
mod secrets;
mod support;
mod tamper;
mod vectors;
