//! Keys and values stay out of errors, `Debug` and logs.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use kv_core::{Entry, Error, PutMode, Store, Value};
use kv_dynamodb::DynamoDbStore;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::proxy::{Fault, Proxy};
use crate::support::{self, TABLE};

const KEY: &str = "hunter2-key";
const VALUE: &str = "hunter2-value";

fn entry() -> Entry {
    Entry::new(Value::from_json(format!(r#"{{"a":"{VALUE}"}}"#)).unwrap())
}

/// Keeps the text of all that is logged, at every level.
#[derive(Clone, Debug, Default)]
struct Log {
    text: Arc<Mutex<String>>,
}

impl Visit for Log {
    fn record_debug(&mut self, _field: &Field, value: &dyn fmt::Debug) {
        writeln!(self.text.lock().unwrap(), "{value:?}").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// All that an error may be printed as.
fn shown(error: &Error) -> String {
    let mut text = format!("{error:?}");
    let mut cause: Option<&dyn StdError> = Some(error);
    while let Some(error) = cause {
        write!(text, " {error} {error:?}").unwrap();
        cause = error.source();
    }
    text
}

/// Every operation under every fault, and what of it is shown and logged.
async fn run() -> (String, String) {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let table = support::builder(TABLE).await;
    table.build().unwrap().open().await.unwrap();
    let proxy = Proxy::start().await;
    let builder = support::builder_at(&proxy.endpoint(), TABLE);
    let mut text = format!("{builder:?}");
    let store = builder.build().unwrap();
    let collection = support::unique("secrets");
    let c = &collection;
    write!(text, "{store:?}").unwrap();
    for fault in [
        None,
        Some(Fault::Refuse(400, "AccessDeniedException")),
        Some(Fault::RefuseAfter(500, "InternalServerError")),
        Some(Fault::CutBefore),
        Some(Fault::CutWithin),
        // The answer breaks off inside the entry.
        Some(Fault::Replace(VALUE, "hunter2-value\"")),
        Some(Fault::Replace(r#""Item""#, r#""Item"#)),
    ] {
        store
            .put(c, KEY, entry(), PutMode::Overwrite)
            .await
            .unwrap();
        for operation in [
            "GetItem",
            "PutItem",
            "DeleteItem",
            "BatchGetItem",
            "BatchWriteItem",
        ] {
            if let Some(fault) = &fault {
                proxy.spoil(operation, usize::MAX, fault.clone());
            }
        }
        let entries = vec![(KEY.to_owned(), entry())];
        let mut results = vec![
            store.put(c, KEY, entry(), PutMode::Create).await.map(drop),
            store
                .put(c, KEY, entry(), PutMode::Overwrite)
                .await
                .map(drop),
            store.put_many(c, entries).await.map(drop),
            store.get(c, KEY).await.map(drop),
            store.delete_many(c, &[KEY]).await.map(drop),
            store.take(c, KEY).await.map(drop),
        ];
        match store.get_many(c, &[KEY]).await {
            Ok(read) => results.extend(read.into_iter().map(|read| read.map(drop))),
            Err(error) => results.push(Err(error)),
        }
        let errors = results.into_iter().filter_map(Result::err);
        text.extend(errors.map(|error| shown(&error)));
        proxy.heal();
    }
    store.clear(c).await.unwrap();
    let logged = log.text.lock().unwrap().clone();
    (text, logged)
}

#[tokio::test]
async fn errors_debug_and_logs_hold_no_key_no_value_and_no_credential() {
    let (shown, logged) = run().await;
    assert!(shown.contains("AccessDeniedException"), "{shown}");
    assert!(!logged.is_empty());
    for text in [shown, logged] {
        for secret in [KEY, VALUE, "hunter2", support::SECRET_KEY] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

/// The service's own words about a signature hold what was signed, the session's token with it.
#[tokio::test]
async fn what_the_service_says_of_a_signature_is_cut_before_what_was_signed() {
    const SAID: &str = r#"{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.\n\nThe Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:hunter2-token\n\n'"}"#;
    let proxy = Proxy::start().await;
    let builder = support::builder_at(&proxy.endpoint(), TABLE).create_table(false);
    let store = builder.build().unwrap();
    proxy.spoil("GetItem", usize::MAX, Fault::Answer(400, SAID));
    let error = store.get("c", "k").await.unwrap_err();
    let text = shown(&error);
    assert!(
        text.contains("InvalidSignatureException: The request signature"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_password_in_the_endpoint_is_refused_and_not_shown() {
    for endpoint in [
        "http://user:hunter2@host",
        "hunter2",
        "http://host/?key=hunter2",
    ] {
        let builder = DynamoDbStore::builder(TABLE).endpoint(endpoint);
        let mut text = format!("{builder:?}");
        text += &shown(&builder.build().unwrap_err());
        assert!(!text.contains("hunter2"), "{text}");
    }
}
