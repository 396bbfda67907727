//! Sessions that outlive what opened them: a worker, a process.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::body::to_bytes;
use kv_core::Store;
use kv_disk::DiskStore;
use kv_memory::MemoryStore;
use tempfile::TempDir;

use super::in_process::InProcess;
use super::owner::{open, send};
use super::{INITIALIZE, SessionLimits, Setup};
use crate::Principal;

const MINUTE: Duration = Duration::from_secs(60);

/// An instance of a server on a store.
fn on(store: &Arc<dyn Store>) -> InProcess {
    let setup = Setup {
        store: Arc::clone(store),
        ..Setup::default()
    };
    InProcess(setup.router().0)
}

/// A store that several processes can share.
fn shared() -> (TempDir, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::builder(folder.path().join("data")).shared();
    (folder, Arc::new(store.build().unwrap()))
}

async fn body(response: axum::response::Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_session_is_answered_by_another_process_on_the_same_store() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let first = on(&store);
    let id = first.open().await;
    drop(first);
    let second = on(&store);
    let answer = second.ping(&id).await;
    assert_eq!(answer.status(), 200);
    assert!(body(answer).await.contains(r#""result":{}"#));
}

#[tokio::test]
async fn no_session_id_is_in_the_store() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let id = on(&store).open().await;
    let page = store
        .keys("mcp_sessions", kv_core::KeyQuery::new())
        .await
        .unwrap();
    assert_eq!(page.keys.len(), 1);
    assert!(!page.keys[0].contains(&id));
    let entry = store.get("mcp_sessions", &page.keys[0]).await.unwrap();
    let entry = entry.unwrap();
    let text = std::str::from_utf8(entry.value.as_bytes()).unwrap();
    assert!(!text.contains(&id) && text.contains("clientInfo"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_has_no_worker_until_it_is_used_again() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let id = client.open().await;
    assert_eq!(sessions.workers(), 1);
    tokio::time::sleep(2 * MINUTE).await;
    assert_eq!((sessions.workers(), sessions.len()), (0, 1));
    assert_eq!(client.ping(&id).await.status(), 200);
    assert_eq!((sessions.workers(), sessions.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_keeps_its_worker() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let id = client.open().await;
    for _ in 0..10 {
        tokio::time::sleep(MINUTE / 2).await;
        assert_eq!(client.ping(&id).await.status(), 200);
    }
    assert_eq!(sessions.workers(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_used_at_times_lives_on_until_it_is_too_old() {
    let client = InProcess(Setup::default().router().0);
    let id = client.open().await;
    let day = 24 * 60;
    for _ in 0..(7 * day / 25) {
        tokio::time::sleep(25 * MINUTE).await;
        assert_eq!(client.ping(&id).await.status(), 200);
    }
    tokio::time::sleep(25 * MINUTE).await;
    assert_eq!(client.ping(&id).await.status(), 404);
}

#[tokio::test]
async fn a_session_that_is_deleted_is_gone_on_all_instances_at_once() {
    let (_folder, store) = shared();
    let (first, second) = (on(&store), on(&store));
    let id = first.open().await;
    for instance in [&first, &second] {
        assert_eq!(instance.ping(&id).await.status(), 200);
    }
    let deleted = send(&second, None, "DELETE".parse().unwrap(), Some(&id), "").await;
    assert_eq!(deleted.status(), 204);
    for instance in [&first, &second] {
        assert_eq!(instance.ping(&id).await.status(), 404);
    }
}

#[tokio::test]
async fn a_session_is_deleted_where_it_has_no_worker() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let id = on(&store).open().await;
    let other = on(&store);
    let delete = || send(&other, None, "DELETE".parse().unwrap(), Some(&id), "");
    assert_eq!(delete().await.status(), 204);
    assert_eq!(delete().await.status(), 404);
    assert_eq!(other.ping(&id).await.status(), 404);
}

#[tokio::test]
async fn another_principal_restores_no_session() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let ada = Principal::user("https://id.example", "ada");
    let bob = Principal::user("https://id.example", "bob");
    let id = open(&on(&store), Some(&ada)).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let other = on(&store);
    for (method, body) in [("POST", ping), ("GET", ""), ("DELETE", "")] {
        for foreign in [Some(&bob), None] {
            let method = method.parse().unwrap();
            let answer = send(&other, foreign, method, Some(&id), body).await;
            assert_eq!(answer.status(), 404);
        }
    }
    let answer = send(&other, Some(&ada), "POST".parse().unwrap(), Some(&id), ping).await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_client_that_goes_away_at_any_moment_of_a_restore_keeps_its_session() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let id = on(&store).open().await;
    for polls in 0..40 {
        let instance = on(&store);
        {
            let mut asking = pin!(instance.ping(&id));
            for _ in 0..polls {
                let done = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_ready())).await;
                if done {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let answer = instance.ping(&id).await;
        assert_eq!(answer.status(), 200, "after {polls} polls");
        assert!(body(answer).await.contains("result"));
    }
}

#[tokio::test]
async fn requests_that_arrive_together_are_all_answered_by_one_restored_worker() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let id = on(&store).open().await;
    let (router, _, sessions, _) = Setup {
        store: Arc::clone(&store),
        ..Setup::default()
    }
    .router();
    let client = InProcess(router);
    let asking = (0..50).map(|number| {
        let ping = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"ping"}}"#);
        let (client, id) = (&client, &id);
        async move { client.post(&ping, Some(id)).await.status() }
    });
    let statuses = futures_util::future::join_all(asking).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(sessions.workers(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_principal_has_so_many_sessions_and_takes_none_of_others() {
    let setup = Setup {
        limits: SessionLimits {
            max_per_principal: 2,
            ..SessionLimits::default()
        },
        ..Setup::default()
    };
    let client = InProcess(setup.router().0);
    let ada = Principal::user("https://id.example", "ada");
    let bob = Principal::user("https://id.example", "bob");
    let of_bob = open(&client, Some(&bob)).await;
    let anonymous = client.open().await;
    let first = open(&client, Some(&ada)).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    let second = open(&client, Some(&ada)).await;
    let third = open(&client, Some(&ada)).await;
    // All that are left are too young to give way.
    let full = send(
        &client,
        Some(&ada),
        "POST".parse().unwrap(),
        None,
        INITIALIZE,
    )
    .await;
    assert_eq!(full.status(), 503);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (owner, id, status) in [
        (Some(&ada), &first, 404),
        (Some(&ada), &second, 200),
        (Some(&ada), &third, 200),
        (Some(&bob), &of_bob, 200),
        (None, &anonymous, 200),
    ] {
        let answer = send(&client, owner, "POST".parse().unwrap(), Some(id), ping).await;
        assert_eq!(answer.status(), status, "{id}");
    }
}

#[tokio::test]
async fn a_client_that_says_too_much_of_itself_has_no_session() {
    let (router, _, sessions, _) = Setup::default().router();
    let client = InProcess(router);
    let long = "x".repeat(100_000);
    let initialize = INITIALIZE.replace(r#""name":"test""#, &format!(r#""name":"{long}""#));
    assert_eq!(client.post(&initialize, None).await.status(), 413);
    assert_eq!(sessions.len(), 0);
}

#[tokio::test]
async fn without_its_store_a_server_says_that_it_cannot_answer_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let broken: Arc<dyn Store> = Arc::new(DiskStore::new(&path).unwrap());
    // Where its folder would be.
    std::fs::write(&path, "").unwrap();
    let other = on(&broken);
    for answer in [other.ping("some").await, other.post(INITIALIZE, None).await] {
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
    }
}
