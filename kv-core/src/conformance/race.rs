//! Many callers at once: each operation on one key has one winner.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::Subject;
use super::subject::{entry, number};
use crate::{Entry, Error, PutMode, Result, Revision, Store};

const RACERS: u64 = 64;

/// How often a race is run; the winner must be alone every time.
const ROUNDS: u64 = 5;

pub async fn one_of_many_creates_wins(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let won = winner(create_race(t, &key).await, &Error::AlreadyExists);
        let read = t.get(&key).await.unwrap();
        assert_eq!((number(&read), read.revision), (won.0, Some(won.1)));
    }
}

pub async fn one_of_many_creates_wins_over_an_expired_entry(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        t.put(&key, t.mortal(99)).await;
        t.expire();
        let won = winner(create_race(t, &key).await, &Error::AlreadyExists);
        assert_eq!(t.number(&key).await, Some(won.0));
    }
}

pub async fn one_of_many_updates_of_a_revision_wins(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        let revision = t.put(&key, entry(99)).await;
        let race = race(t, &key, move |store, collection, key, n| {
            let mode = PutMode::Update(revision.clone());
            async move { (n, store.put(&collection, &key, entry(n), mode).await) }
        });
        let won = winner(race.await, &Error::Conflict);
        let read = t.get(&key).await.unwrap();
        assert_eq!((number(&read), read.revision), (won.0, Some(won.1)));
    }
}

pub async fn counting_by_updates_loses_no_step(t: &Subject) {
    t.put("k", entry(0)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, collection) = (Arc::clone(&t.store), t.collection.clone());
        tasks.spawn(async move {
            for _ in 0..8 {
                increment(&*store, &collection, "k").await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(t.number("k").await, Some(64));
}

pub async fn one_of_many_takes_wins(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        t.put(&key, entry(round)).await;
        let taken = race(t, &key, |store, collection, key, _| async move {
            store.take(&collection, &key).await.unwrap()
        });
        let taken: Vec<_> = taken.await.into_iter().flatten().collect();
        assert_eq!(taken.iter().map(number).collect::<Vec<_>>(), [round]);
        assert_eq!(t.get(&key).await, None);
    }
}

pub async fn one_of_many_deletes_wins(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        t.put(&key, entry(1)).await;
        let deleted = race(t, &key, |store, collection, key, _| async move {
            store.delete(&collection, &key).await.unwrap()
        });
        let won = deleted.await.into_iter().filter(|deleted| *deleted).count();
        assert_eq!(won, 1);
    }
}

pub async fn one_of_many_takes_and_deletes_wins(t: &Subject) {
    for round in 0..ROUNDS {
        let key = format!("k{round}");
        t.put(&key, entry(1)).await;
        let removed = race(t, &key, |store, collection, key, n| async move {
            if n % 2 == 0 {
                store.take(&collection, &key).await.unwrap().is_some()
            } else {
                store.delete(&collection, &key).await.unwrap()
            }
        });
        let won = removed.await.into_iter().filter(|removed| *removed).count();
        assert_eq!(won, 1);
    }
}

pub async fn an_update_never_brings_back_a_deleted_entry(t: &Subject) {
    for round in 0..ROUNDS * 4 {
        let key = format!("k{round}");
        let revision = t.put(&key, entry(99)).await;
        // One deletes; all others hold the revision from before.
        let race = race(t, &key, move |store, collection, key, n| {
            let mode = PutMode::Update(revision.clone());
            async move {
                if n == RACERS / 2 {
                    assert!(store.delete(&collection, &key).await.unwrap());
                    return false;
                }
                let update = store.put(&collection, &key, entry(n), mode).await;
                update.is_ok()
            }
        });
        let won = race.await.into_iter().filter(|won| *won).count();
        assert!(won <= 1, "{won} updates of one revision");
        assert_eq!(t.get(&key).await, None);
    }
}

pub async fn racing_overwrites_leave_one_of_them_whole(t: &Subject) {
    let life = t.mortal(0).expires_at;
    let written = race(t, "k", move |store, collection, key, n| async move {
        let entry = entry(n).with_expires_at(life.filter(|_| n % 2 == 0));
        let put = store.put(&collection, &key, entry, PutMode::Overwrite);
        (n, put.await.unwrap())
    });
    let written = written.await;
    let read = t.get("k").await.unwrap();
    let (n, _) = written
        .into_iter()
        .find(|(_, revision)| read.revision.as_ref() == Some(revision))
        .unwrap();
    assert_eq!(number(&read), n);
    assert_eq!(read.expires_at, life.filter(|_| n % 2 == 0));
}

pub async fn racing_reads_see_only_whole_entries(t: &Subject) {
    let life = t.mortal(0).expires_at;
    let whole = |entry: &Entry| number(entry).is_multiple_of(2) == entry.expires_at.is_some();
    t.put("k", t.mortal(0)).await;
    let read = race(t, "k", move |store, collection, key, n| async move {
        let mut seen = Vec::new();
        for _ in 0..8 {
            if n < RACERS / 4 {
                let entry = entry(n).with_expires_at(life.filter(|_| n % 2 == 0));
                let put = store.put(&collection, &key, entry, PutMode::Overwrite);
                put.await.unwrap();
            } else {
                seen.push(store.get(&collection, &key).await.unwrap());
            }
            yield_now().await;
        }
        seen
    });
    for entry in read.await.into_iter().flatten() {
        assert!(entry.as_ref().is_some_and(whole), "{entry:?}");
    }
}

pub async fn racing_writes_of_many_keys_are_all_kept(t: &Subject) {
    let written = race(t, "k", |store, collection, key, n| async move {
        for m in 0..4 {
            let key = format!("{key}-{n:02}-{m}");
            let put = store.put(&collection, &key, entry(n), PutMode::Create);
            put.await.unwrap();
        }
    });
    assert_eq!(written.await.len(), 64);
    assert_eq!(t.keys().await.len(), 256);
    for n in 0..RACERS {
        assert_eq!(t.number(&format!("k-{n:02}-3")).await, Some(n));
    }
}

pub async fn racing_bulk_writes_leave_every_entry_whole(t: &Subject) {
    let keys = ["a", "b", "c", "d"];
    let written = race(t, "k", move |store, collection, _, n| async move {
        let entries = keys.map(|key| (key.to_owned(), entry(n)));
        let put = store.put_many(&collection, entries.to_vec()).await;
        (n, put.unwrap())
    });
    let written = written.await;
    for (place, key) in keys.iter().enumerate() {
        let read = t.get(key).await.unwrap();
        let (n, _) = written
            .iter()
            .find(|(_, revisions)| read.revision.as_ref() == Some(&revisions[place]))
            .unwrap();
        assert_eq!(number(&read), *n);
    }
}

/// Runs `racer` in 64 tasks that start together, and returns what each returned.
async fn race<T, F>(
    t: &Subject,
    key: &str,
    racer: impl Fn(Arc<dyn Store>, String, String, u64) -> F,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(usize::try_from(RACERS).unwrap()));
    let mut tasks = JoinSet::new();
    for n in 0..RACERS {
        let racer = racer(
            Arc::clone(&t.store),
            t.collection.clone(),
            key.to_owned(),
            n,
        );
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            racer.await
        });
    }
    tasks.join_all().await
}

async fn create_race(t: &Subject, key: &str) -> Vec<(u64, Result<Revision>)> {
    race(t, key, |store, collection, key, n| async move {
        let put = store.put(&collection, &key, entry(n), PutMode::Create);
        (n, put.await)
    })
    .await
}

async fn increment(store: &dyn Store, collection: &str, key: &str) {
    loop {
        let read = store.get(collection, key).await.unwrap().unwrap();
        let mode = PutMode::Update(read.revision.clone().unwrap());
        let next = entry(number(&read) + 1);
        match store.put(collection, key, next, mode).await {
            Ok(_) => return,
            Err(error) => assert!(matches!(error, Error::Conflict), "{error:?}"),
        }
    }
}

/// The only racer that won; the others must have been answered with `refusal`.
fn winner(results: Vec<(u64, Result<Revision>)>, refusal: &Error) -> (u64, Revision) {
    let mut winners = Vec::new();
    for (n, result) in results {
        match result {
            Ok(revision) => winners.push((n, revision)),
            Err(error) => assert_eq!(error.to_string(), refusal.to_string()),
        }
    }
    assert_eq!(winners.len(), 1, "there must be one winner");
    winners.remove(0)
}
