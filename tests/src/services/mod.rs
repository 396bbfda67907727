//! The servers that tests talk to: real ones, never an imitation.
//!
//! [`redis`] and [`dynamodb`] are for every test that only needs *a* server: one container of each
//! serves a whole test run. A test that breaks its server starts its own [`RedisServer`].
//!
//! # Who owns a container
//!
//! Under cargo-nextest every test is its own process, so neither a static nor a drop can hold what
//! the tests share. The *run* holds it: the parent of the test process, which is cargo-nextest, or
//! cargo. The first test that asks starts the container and notes its address under the run's
//! process id, the others read the note, and a watcher removes container and note within about a
//! second of the run's end, however that ended. Runs in parallel have a container each.

mod container;
mod redis_server;

pub use container::{dynamodb, redis};
pub use redis_server::{RedisServer, SENTINEL_MASTER, free_port};
