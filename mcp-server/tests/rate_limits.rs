//! Rate limits: of one server, of its callers, and of instances over one store.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use kv_core::conformance::{Fault, FaultStore};
use kv_core::{ManualClock, Store};
use kv_memory::MemoryStore;
use mcp_server::middleware::RateLimiting;
use mcp_server::{Client, Principal, Server, axum, tool};
use serde_json::{Value, json};

use crate::http_client::Served;

#[tool]
async fn ping() -> &'static str {
    "pong"
}

fn server(limit: RateLimiting, store: impl Store) -> Server {
    let server = Server::builder("Limited").storage(store);
    server.middleware(limit).tool(ping).build().unwrap()
}

async fn connect(limit: RateLimiting, store: impl Store) -> Client {
    Client::connect(&server(limit, store)).await.unwrap()
}

/// Calls so often, and returns how often it was answered.
async fn calls(client: &Client, count: usize) -> usize {
    let mut answered = 0;
    for _ in 0..count {
        answered += usize::from(client.call_tool::<String>("ping", ()).await.is_ok());
    }
    answered
}

fn hourly(requests: u32) -> RateLimiting {
    RateLimiting::per_window(requests, Duration::from_secs(3600))
}

#[tokio::test]
async fn the_request_that_is_one_too_many_is_told_when_to_try_again() {
    // The first is the client's `server/discover`.
    let client = connect(hourly(3), MemoryStore::new()).await;
    assert_eq!(calls(&client, 5).await, 2);
    let error = client.call_tool::<Value>("ping", ()).await.unwrap_err();
    let mcp_server::client::ClientError::Refused {
        code,
        message,
        data,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(code, -32000);
    assert!(
        message.starts_with("too many requests; try again in "),
        "{message}"
    );
    let wait = data.unwrap()["retryAfterMs"].as_u64().unwrap();
    assert!((3_500_000..=3_672_000).contains(&wait), "{wait}");
}

#[tokio::test(start_paused = true)]
async fn a_bucket_fills_again_with_time() {
    let client = connect(RateLimiting::per_second(2.0).burst(3), MemoryStore::new()).await;
    assert_eq!(calls(&client, 5).await, 2);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert_eq!(calls(&client, 5).await, 1);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(calls(&client, 5).await, 3);
}

async fn serve_as(server: &Server, name: &str) -> Served {
    let router = server.clone().into_router().unwrap();
    let user = Principal::user("https://id.example", name);
    Served::new(router.layer(Extension(user))).await
}

#[tokio::test]
async fn each_caller_has_a_limit_of_its_own_unless_it_is_global() {
    for (limit, of_bob) in [(hourly(2), 2), (hourly(2).global(), 0)] {
        let server = server(limit, MemoryStore::new());
        let (ada, bob) = (
            serve_as(&server, "ada").await,
            serve_as(&server, "bob").await,
        );
        for (client, answered) in [(&ada, 2), (&bob, of_bob)] {
            let mut count = 0;
            for _ in 0..4 {
                count += usize::from(!client.call("ping", json!({})).await.is_null());
            }
            assert_eq!(count, answered);
        }
    }
}

#[tokio::test]
async fn callers_are_told_apart_by_a_key_of_ones_own() {
    let limit = hourly(1).by(|message| message.method().to_owned());
    let client = connect(limit, MemoryStore::new()).await;
    assert_eq!(calls(&client, 2).await, 1);
    client.list_tools().await.unwrap();
    client.list_tools().await.unwrap_err();
}

fn manual() -> (Arc<ManualClock>, MemoryStore) {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    (clock, store)
}

#[tokio::test]
async fn instances_share_a_limit_to_the_last_request() {
    let store = MemoryStore::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let limit = hourly(30).global().shared("all");
        clients.push(connect(limit, store.clone()).await);
    }
    let mut answered = 3;
    for _ in 0..20 {
        for client in &clients {
            answered += calls(client, 1).await;
        }
    }
    assert_eq!(answered, 30);
}

#[tokio::test]
async fn a_large_limit_over_three_instances_holds_within_5_percent() {
    let store = MemoryStore::new();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let limit = hourly(4000).global().shared("all");
        clients.push(connect(limit, store.clone()).await);
    }
    let mut answered = 3;
    for _ in 0..1500 {
        for client in &clients {
            answered += calls(client, 1).await;
        }
    }
    assert!((3800..=4000).contains(&answered), "{answered}");
}

#[tokio::test]
async fn the_store_is_asked_for_one_request_in_so_many() {
    let store = FaultStore::new(MemoryStore::new());
    let limit = hourly(10_000).global().shared("all");
    let client = connect(limit, store.clone()).await;
    calls(&client, 1).await;
    let before = store.all_calls();
    calls(&client, 500).await;
    // Each time it is read and written.
    let asked = store.all_calls() - before;
    assert!((2..=2 * 500 / 50 + 2).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_refused_client_does_not_ask_the_store_again() {
    let store = FaultStore::new(MemoryStore::new());
    let client = connect(hourly(2).global().shared("all"), store.clone()).await;
    assert_eq!(calls(&client, 2).await, 1);
    let before = store.all_calls();
    assert_eq!(calls(&client, 50).await, 0);
    assert_eq!(store.all_calls(), before);
}

#[tokio::test]
async fn limits_of_two_names_do_not_mix() {
    let store = MemoryStore::new();
    for name in ["one", "two"] {
        let limit = hourly(2).global().shared(name);
        let client = connect(limit, store.clone()).await;
        assert_eq!(calls(&client, 3).await, 1);
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_each_instance_its_own_limit() {
    let store = FaultStore::new(MemoryStore::new());
    let limit = hourly(3).global().storage("all", store.clone());
    let client = connect(limit, MemoryStore::new()).await;
    store.inject(Fault::unavailable().always());
    assert_eq!(calls(&client, 10).await, 3);
}

#[tokio::test]
async fn what_is_shared_is_forgotten_when_it_counts_no_more() {
    let (clock, store) = manual();
    let client = connect(hourly(2).global().shared("all"), store.clone()).await;
    calls(&client, 1).await;
    let count = async || {
        let keys = store
            .keys("mcp_rate_limits", Default::default())
            .await
            .unwrap();
        keys.keys.len()
    };
    assert_eq!(count().await, 1);
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(count().await, 0);
}
