//! Counts the operations of a store, and prints the figures as Prometheus reads them.
//!
//! Run with: cargo run -p kv-core --example prometheus

use kv_core::{Result, Store, StoreExt};
use kv_memory::MemoryStore;
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
async fn main() -> Result<()> {
    // A server would serve `figures.render()` at `/metrics`, and call `figures.run_upkeep()` every
    // few seconds.
    let figures = PrometheusBuilder::new()
        .install_recorder()
        .expect("no other recorder is set");

    let store = MemoryStore::new().stats();
    store
        .put_value("users", "ada", &json!({ "role": "admin" }), None)
        .await?;
    for key in ["ada", "bob"] {
        store.get("users", key).await?;
    }

    let text = figures.render();
    println!("{text}");
    let hit = r#"kv_keys_total{store="memory",collection="users",operation="get",outcome="hit"} 1"#;
    assert!(text.contains(hit), "one of the two users is there");
    Ok(())
}
