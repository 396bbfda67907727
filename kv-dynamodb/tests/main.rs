//! The tests that need a DynamoDB, in one binary.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod canary;
mod conformance;
mod faults;
mod hostile;
mod proxy;
mod python;
mod requests;
mod secrets;
mod size;
mod support;
mod table;
