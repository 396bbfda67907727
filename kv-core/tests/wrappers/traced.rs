//! `Traced`: every operation is a span, and no span holds a secret.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use kv_core::wrappers::Traced;
use kv_core::{Entry, Error, KeyQuery, PutMode, Store, StoreExt, Value};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Event, Level, Metadata, Subscriber};

use super::entry;
use crate::probe::{After, Probe};

/// Writes down every span and event with its fields.
#[derive(Clone, Default)]
struct Notes {
    spans: Arc<Mutex<Vec<String>>>,
    entered: Arc<Mutex<usize>>,
    level: Option<Level>,
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl Subscriber for Notes {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.level.is_none_or(|level| *metadata.level() <= level)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let mut line = format!("{} {}:", metadata.level(), metadata.name());
        attributes.record(&mut Line(&mut line));
        let mut spans = self.spans.lock().unwrap();
        spans.push(line);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let index = usize::try_from(id.into_u64()).unwrap() - 1;
        values.record(&mut Line(&mut self.spans.lock().unwrap()[index]));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = "event:".to_owned();
        event.record(&mut Line(&mut line));
        self.spans.lock().unwrap().push(line);
    }

    fn enter(&self, _: &Id) {
        *self.entered.lock().unwrap() += 1;
    }

    fn exit(&self, _: &Id) {}
}

impl Notes {
    fn of_level(level: impl Into<Option<Level>>) -> (Self, DefaultGuard) {
        let notes = Self {
            level: level.into(),
            ..Self::default()
        };
        let guard = tracing::subscriber::set_default(notes.clone());
        (notes, guard)
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.spans.lock().unwrap())
    }
}

fn traced() -> (Arc<Probe>, Traced<Arc<Probe>>) {
    let store = Probe::new();
    (Arc::clone(&store), store.traced())
}

#[tokio::test]
async fn every_operation_is_one_span_with_its_outcome() {
    let (_, store) = traced();
    let (notes, _guard) = Notes::of_level(None);
    let put = store.put("c", "k", entry(1), PutMode::Overwrite);
    put.await.unwrap();
    store.get("c", "k").await.unwrap();
    store.get_fresh("c", "x").await.unwrap();
    store.take("c", "k").await.unwrap();
    store.delete("c", "k").await.unwrap();
    let entries = vec![("a".to_owned(), entry(1)), ("b".to_owned(), entry(2))];
    store.put_many("c", entries).await.unwrap();
    store.get_many("c", &["a", "b", "x"]).await.unwrap();
    store.delete_many("c", &["a"]).await.unwrap();
    store.keys("c", KeyQuery::new()).await.unwrap();
    store.collections(KeyQuery::new()).await.unwrap();
    store.cull().await.unwrap();
    store.clear("c").await.unwrap();
    store.destroy().await.unwrap();
    store.flush().await.unwrap();
    let expected = [
        r#""put" collection="c" outcome="ok""#,
        r#""get" collection="c" outcome="ok" hits=1 misses=0"#,
        r#""get_fresh" collection="c" outcome="ok" hits=0 misses=1"#,
        r#""take" collection="c" outcome="ok" hits=1 misses=0"#,
        r#""delete" collection="c" outcome="ok" hits=0 misses=1"#,
        r#""put_many" collection="c" keys=2 outcome="ok""#,
        r#""get_many" collection="c" keys=3 outcome="ok" hits=2 misses=1"#,
        r#""delete_many" collection="c" keys=1 outcome="ok" hits=1 misses=0"#,
        r#""keys" collection="c" outcome="ok""#,
        r#""collections" outcome="ok""#,
        r#""cull" outcome="ok""#,
        r#""clear" collection="c" outcome="ok""#,
        r#""destroy" outcome="ok""#,
        r#""flush" outcome="ok""#,
    ];
    let prefix = r#"DEBUG kv_operation: store="probe" operation="#;
    let expected: Vec<_> = expected
        .iter()
        .map(|line| format!("{prefix}{line}"))
        .collect();
    assert_eq!(notes.lines(), expected);
}

#[tokio::test]
async fn an_error_is_shown_by_its_kind() {
    let (probe, store) = traced();
    let (notes, _guard) = Notes::of_level(None);
    probe.then(After::Fail(Error::Unavailable {
        store: "probe",
        reason: "hunter2".to_owned(),
        source: None,
    }));
    store.get("c", "k").await.unwrap_err();
    let lines = notes.lines();
    assert!(lines[0].ends_with(r#"outcome="Unavailable""#), "{lines:?}");
    assert!(!lines[0].contains("hunter2"), "{lines:?}");
}

#[tokio::test]
async fn a_key_is_shown_only_when_asked_for_and_a_value_never() {
    let secret = || Entry::new(Value::encode(&json!({ "password": "hunter2" })).unwrap());
    for shown in [false, true] {
        let (_, store) = traced();
        let store = store.with_keys(shown);
        let (notes, _guard) = Notes::of_level(None);
        let put = store.put("c", "token-1", secret(), PutMode::Create);
        put.await.unwrap();
        store.get("c", "token-1").await.unwrap();
        store
            .put_many("c", vec![("token-2".to_owned(), secret())])
            .await
            .unwrap();
        store.get_many("c", &["token-2"]).await.unwrap();
        let lines = notes.lines();
        assert_eq!(lines.len(), 4);
        let with_key = lines.iter().filter(|line| line.contains("token-1"));
        assert_eq!(with_key.count(), if shown { 2 } else { 0 });
        assert!(
            lines.iter().all(|line| !line.contains("token-2")),
            "{lines:?}"
        );
        assert!(
            lines.iter().all(|line| !line.contains("hunter2")),
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn spans_are_of_the_level_that_was_set() {
    let levels = [
        Level::ERROR,
        Level::WARN,
        Level::INFO,
        Level::DEBUG,
        Level::TRACE,
    ];
    for level in levels {
        let (_, store) = traced();
        let store = store.with_level(level);
        let (notes, guard) = Notes::of_level(level);
        store.cull().await.unwrap();
        let lines = notes.lines();
        assert!(lines[0].starts_with(&level.to_string()), "{lines:?}");
        drop(guard);
    }
}

#[tokio::test]
async fn a_subscriber_of_a_higher_level_is_told_nothing_and_the_answer_is_the_same() {
    let (_, store) = traced();
    let (notes, _guard) = Notes::of_level(Level::INFO);
    let put = store.put("c", "k", entry(1), PutMode::Create);
    put.await.unwrap();
    assert_eq!(super::number(&store, "c", "k").await, Some(1));
    assert_eq!(notes.lines(), [""; 0]);
}

#[tokio::test]
async fn the_span_is_entered_for_every_poll_and_one_that_was_dropped_has_no_outcome() {
    let (probe, store) = traced();
    let (notes, _guard) = Notes::of_level(None);
    drop(store.get("c", "k"));
    assert_eq!(notes.lines(), [""; 0]);
    probe.then(After::Hold);
    let mut get = store.get("c", "k");
    assert!((&mut get).now_or_never().is_none());
    assert!((&mut get).now_or_never().is_none());
    assert!(*notes.entered.lock().unwrap() >= 2);
    drop(get);
    let lines = notes.lines();
    assert_eq!(lines.len(), 1);
    assert!(!lines[0].contains("outcome"), "{lines:?}");
}
