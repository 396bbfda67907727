//! Two tenants share one store, each with its own part of it, its own limits and its own sessions.
//!
//! Run with: cargo run -p kv-core --example tenants

use std::sync::Arc;
use std::time::Duration;

use kv_core::{Error, Result, Store, StoreExt};
use kv_memory::MemoryStore;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Session {
    user: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<()> {
    // Any backend would do: only this line knows which one it is.
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let part = |tenant: &str| Arc::clone(&store).prefixed(tenant);
    let (red, blue) = (part("red")?, part("blue")?);

    let hour = Duration::from_secs(3600);
    let sessions = red.collection::<Session>("sessions").with_ttl(hour);
    sessions
        .put(
            "s1",
            &Session {
                user: "ada".to_owned(),
            },
        )
        .await?;

    let elsewhere = blue.collection::<Session>("sessions").get("s1").await?;
    println!("blue sees the session of red: {}", elsewhere.is_some());

    let visits = red.increment("counters", "visits", 1, None).await?;
    println!("visits of red: {visits}");

    let view = red.clone().read_only();
    let refused = view.delete("sessions", "s1").await;
    println!(
        "a read-only view refuses writes: {}",
        matches!(refused, Err(Error::ReadOnly))
    );

    let one_time = sessions.take("s1").await?.map(|session| session.user);
    println!(
        "taken once: {one_time:?}, twice: {}",
        sessions.take("s1").await?.is_some()
    );
    Ok(())
}
