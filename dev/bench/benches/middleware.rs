//! What middleware adds to a call of a tool, from a client in the same process.
//!
//! Run with: cargo bench -p kv-bench --bench middleware

use std::time::Duration;

use kv_bench::{compare_added, time};
use mcp_server::middleware::{
    ErrorHandling, Logging, Middleware, RateLimiting, ResponseCaching, Retry, Timing,
};
use mcp_server::{Client, Server, ServerBuilder, tool};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 41;
const CALLS: usize = 500;

/// The most that five that do nothing may add, in nanoseconds.
const GOAL: Option<f64> = Some(3000.0);

/// Passes all on.
struct Nothing;

impl Middleware for Nothing {}

#[tool(annotations(read_only))]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// A name, what it may add, and what is put around the server.
type Around = (
    &'static str,
    Option<f64>,
    fn(ServerBuilder) -> ServerBuilder,
);

const AROUND: [Around; 9] = [
    ("nothing", None, |server| server),
    ("1 no-op", None, |server| server.middleware(Nothing)),
    ("5 no-ops", GOAL, |server| {
        (0..5).fold(server, |server, _| server.middleware(Nothing))
    }),
    ("Retry", None, |server| server.middleware(Retry::new())),
    ("RateLimiting", None, |server| {
        server.middleware(RateLimiting::per_second(1e9))
    }),
    ("ErrorHandling", None, |server| {
        server.middleware(ErrorHandling::new())
    }),
    ("Timing", None, |server| server.middleware(Timing::new())),
    ("Logging", None, |server| server.middleware(Logging::new())),
    ("ResponseCaching, a hit", None, |server| {
        server.middleware(ResponseCaching::new())
    }),
];

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("it starts");
    let bare = connect(&runtime, |server| server);
    for (name, goal, around) in AROUND {
        let within = connect(&runtime, around);
        compare_added(
            &format!("call, {name}"),
            goal,
            ROUNDS,
            CALLS,
            |_| calls(&runtime, &within),
            |_| calls(&runtime, &bare),
        );
    }
}

fn connect(runtime: &Runtime, around: fn(ServerBuilder) -> ServerBuilder) -> Client {
    let server = around(Server::builder("bench").tool(add))
        .build()
        .expect("it is right");
    runtime
        .block_on(Client::connect(&server))
        .expect("it is here")
}

fn calls(runtime: &Runtime, client: &Client) -> Duration {
    time(|| {
        runtime.block_on(async {
            for _ in 0..CALLS {
                let sum: i64 = client
                    .call_tool("add", json!({ "a": 1, "b": 2 }))
                    .await
                    .expect("it adds");
                assert_eq!(sum, 3);
            }
        });
    })
}
