//! The crate's integration tests, in one binary. They start `redis-server` processes of their own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod canary;
mod cluster;
mod conformance;
mod connection;
mod faults;
mod hostile;
mod listing;
mod outcome;
mod proxy;
mod restarts;
mod secrets;
mod sentinel;
mod support;
mod tls;
mod together;
mod vectors;
mod watch;
mod watch_failover;
mod wire;
