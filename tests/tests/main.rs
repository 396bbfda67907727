//! Tests across the crates: a real server process, real services and real Python clients.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cached;
mod clients;
mod cluster;
mod compressed;
mod conformance;
mod encrypted;
mod envelope;
mod interop;
mod pins;
mod python;
mod quickstart;
mod server_process;
mod services;
mod state;
