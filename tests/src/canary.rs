//! [`Seen`]: all that is logged and shown, to look for secrets in.

use std::error::Error;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use kv_core::conformance::forms;
use kv_core::{Cursor, Entry, KeyQuery, PutMode, Revision, Store, StoreExt as _, Value};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What was logged, and what a test adds to it. Clones share it.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    /// Takes down what every thread and every crate of this process logs from here on, at the level
    /// `TRACE`, also through the `log` facade.
    ///
    /// # Panics
    ///
    /// When something else has the process's logs. Under nextest a test has a process to itself.
    #[must_use]
    pub fn everywhere() -> Self {
        let seen = Self::default();
        let log = seen.clone();
        tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || log.clone())
            .init();
        seen
    }

    /// Adds the two forms of `Debug`.
    pub fn add(&self, what: &impl Debug) {
        self.extend(format!("{what:?}\n{what:#?}\n").as_bytes());
    }

    /// Adds all that an error says of itself and its causes.
    pub fn check<T, E: Error + 'static>(&self, result: Result<T, E>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            self.extend(format!("{error}\n").as_bytes());
            self.add(&error);
            cause = error.source();
        }
        None
    }

    /// Adds all that every operation shows and answers, in the collection `c`, those that fail too.
    ///
    /// The store is empty afterwards, unless it failed.
    pub async fn of_every_operation(&self, store: &dyn Store, key: &str, value: &str) {
        let text = serde_json::json!({ "a": value }).to_string();
        let entry = || Entry::new(Value::from_json(text.clone()).expect("it is an object"));
        self.add(&store);
        self.add(&store.info());
        for mode in [
            PutMode::Overwrite,
            PutMode::Create,
            PutMode::Update(Revision::from_bytes(value.to_owned().into())),
        ] {
            self.add(&mode);
            self.add(&self.check(store.put("c", key, entry(), mode).await));
        }
        let entries = vec![(key.to_owned(), entry())];
        self.check(store.put_many("c", entries).await);
        self.add(&self.check(store.get("c", key).await));
        self.add(&self.check(store.get_fresh("c", key).await));
        let many = self.check(store.get_many("c", &[key, "none"]).await);
        for got in many.into_iter().flatten() {
            self.add(&self.check(got));
        }
        self.check(store.collections(KeyQuery::new()).await);
        let prefix: String = key.chars().take(3).collect();
        self.check(store.keys("c", KeyQuery::new().with_prefix(prefix)).await);
        let cursor = KeyQuery::new().with_cursor(Cursor::new(key));
        self.check(store.keys("c", cursor).await);
        self.check(store.get("c", &key.repeat(1000)).await);
        self.check(store.get("c::", key).await);
        self.check(store.get_value::<u64>("c", key).await);
        self.check(store.take("c", key).await);
        self.check(store.delete("c", key).await);
        self.check(store.delete_many("c", &[key]).await);
        self.check(store.watch(key).map(drop));
        self.check(store.cull().await);
        self.check(store.flush().await);
        self.check(store.put("c", key, entry(), PutMode::Overwrite).await);
        self.check(store.clear("c").await);
        self.check(store.destroy().await);
    }

    /// Returns all that was seen.
    #[must_use]
    pub fn text(&self) -> String {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// Checks that none of `secrets` was seen in any of its forms, and that each of `shown` was:
    /// else too little was seen.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn assert_free_of(&self, secrets: &[&str], shown: &[&str]) {
        let text = self.text();
        for shown in shown {
            assert!(text.contains(shown), "{shown} was not seen");
        }
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            let found = text.lines().find(|line| line.contains(&form));
            assert!(found.is_none(), "{form}: {found:?}");
        }
    }

    fn extend(&self, bytes: &[u8]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend_from_slice(bytes);
    }
}

impl Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

impl io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
