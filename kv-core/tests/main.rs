//! The crate's integration tests, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broken;
mod collection;
mod conformance;
mod envelope;
mod envelope_random;
mod ext;
mod fault;
mod in_part;
mod name;
mod probe;
mod suite;
mod support;
mod wrappers;
