//! The other process, which has a cache of its own over the same server.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kv_core::{Error, PutMode, Store as _, StoreExt as _};

use super::{COLLECTION, KEYS, Tiers, cache, entry, number, number_in};

const URL: &str = "KV_TESTS_CACHED_URL";

/// The other process.
pub(super) struct Other {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Other {
    pub(super) fn start(url: &str) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "cached::other::the_other_process", "--nocapture"])
            .env(URL, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self {
            process,
            orders,
            answers,
        }
    }

    /// Has the other process do something, and returns what it says of it.
    pub(super) fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        loop {
            let mut line = String::new();
            assert!(
                self.answers.read_line(&mut line).unwrap() > 0,
                "it has ended"
            );
            // The test harness writes to the same place.
            if let Some(answer) = line.strip_prefix("done ") {
                return answer.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Does what the tests order, when one of them has started it; else nothing.
///
/// While it waits for an order, other threads hear of changes.
#[tokio::test(flavor = "multi_thread")]
async fn the_other_process() {
    let Ok(url) = env::var(URL) else {
        return;
    };
    let store = cache(&url);
    // Ends a line that the harness has begun.
    writeln!(std::io::stdout()).unwrap();
    let mut lines = std::io::stdin().lines();
    while let Some(Ok(line)) = lines.next() {
        let words: Vec<_> = line.split(' ').collect();
        let said = match *words {
            ["put", key, n] => {
                // A write whose connection is killed may or may not have been applied.
                let entry = entry(n.parse().unwrap());
                let put = || store.put(COLLECTION, key, entry.clone(), PutMode::Overwrite);
                while put().await.is_err() {}
                String::new()
            }
            ["delete", key] => store.delete(COLLECTION, key).await.unwrap().to_string(),
            ["take", key] => store
                .take(COLLECTION, key)
                .await
                .unwrap()
                .is_some()
                .to_string(),
            ["clear"] => store.clear(COLLECTION).await.unwrap().to_string(),
            ["get", key] => format!("{:?}", number(&store, key).await),
            ["race", steps, seed] => {
                let random = fastrand::Rng::with_seed(seed.parse().unwrap());
                race(&store, steps.parse().unwrap(), random).await;
                String::new()
            }
            _ => panic!("{line}"),
        };
        writeln!(std::io::stdout(), "done {said}").unwrap();
    }
}

/// Changes and removes entries while others do the same. The numbers of a key only grow.
///
/// A number is drawn after what it replaces was read, and whoever removes an entry alone makes the
/// next, so no number that was drawn earlier is written later.
async fn race(store: &Tiers, steps: u64, mut random: fastrand::Rng) {
    let draw = async || {
        let drawn = store.increment("drawn", "n", 1, None).await.unwrap();
        entry(drawn.try_into().unwrap())
    };
    for _ in 0..steps {
        let key = &format!("k{}", random.u64(..KEYS));
        let is_removed = match random.u8(..6) {
            0 => store.delete(COLLECTION, key).await.unwrap(),
            1 => store.take(COLLECTION, key).await.unwrap().is_some(),
            _ => {
                let live = store.get_fresh(COLLECTION, key).await.unwrap();
                if let Some(live) = live {
                    let mode = PutMode::Update(live.revision.clone().unwrap());
                    let entry = draw().await;
                    assert!(number_in(&entry) > number_in(&live));
                    let n = number_in(&entry);
                    let put = store.put(COLLECTION, key, entry, mode).await;
                    assert!(matches!(put, Ok(_) | Err(Error::Conflict)), "{put:?}");
                    let now = number(store, key).await;
                    let is_seen = put.is_err() || now.is_none_or(|now| now >= n);
                    assert!(is_seen, "{key} was written as {n} and is {now:?}");
                }
                false
            }
        };
        if is_removed {
            let put = store.put(COLLECTION, key, draw().await, PutMode::Create);
            put.await.unwrap();
        }
    }
}
