//! No value, key of encryption or record key in what is shown or logged, through all wrappers and
//! over the stores of this machine. The stores in a network have tests of their own.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore};
use kv_core::{Entry, KeyQuery, PutMode, Result, Revision, Store, StoreExt as _, Value};
use kv_disk::DiskStore;
use kv_encryption::{FernetKey, FernetStore, Format, KeyRing};
use kv_memory::MemoryStore;
use tracing::Level;

use crate::support::{NEW, OLD, key, ring};

/// Also long enough that its base64 and hex cannot turn up by chance.
const VALUE: &str = "hunter2-value";
const KEY: &str = "hunter2-key";
const MATERIAL: &str = "hunter2-material";

/// What was shown and logged.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<u8>>>);

impl Seen {
    fn add(&self, what: &impl Debug) {
        let text = format!("{what:?} {what:#?}\n");
        self.0.lock().unwrap().extend(text.into_bytes());
    }

    /// Adds all that an error says of itself and its causes.
    fn check<T>(&self, result: Result<T>) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let mut cause: Option<&dyn StdError> = Some(&error);
        while let Some(error) = cause {
            self.add(&error.to_string());
            self.add(&error);
            cause = error.source();
        }
        None
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The forms in which a secret could be printed. Of base64, those parts that do not depend on
/// what stands before and behind.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), format!("{:?}", secret.as_bytes())];
    forms[1] = forms[1].trim_matches(['[', ']']).to_owned();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    for start in 0..3 {
        let whole = &secret.as_bytes()[start..];
        let whole = &whole[..whole.len() / 3 * 3];
        forms.push(base64(whole, b"+/"));
        forms.push(base64(whole, b"-_"));
    }
    forms
}

fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
    let digits: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .collect();
    let digits = [digits.as_slice(), last].concat();
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| digits[(number >> shift) as usize & 63])
    });
    groups.map(char::from).collect()
}

fn secret_entry() -> Entry {
    Entry::new(Value::from_json(format!(r#"{{"a":"{VALUE}"}}"#)).unwrap())
}

/// Every operation, those that fail too.
async fn every_operation(store: &dyn Store, seen: &Seen) {
    seen.add(&store);
    seen.add(&store.info());
    for mode in [
        PutMode::Overwrite,
        PutMode::Create,
        PutMode::Update(Revision::from_bytes(VALUE.into())),
    ] {
        seen.add(&mode);
        let put = store.put("c", KEY, secret_entry(), mode).await;
        if let Some(revision) = seen.check(put) {
            seen.add(&revision);
        }
    }
    let entries = vec![(KEY.to_owned(), secret_entry())];
    seen.check(store.put_many("c", entries).await);
    for got in [store.get("c", KEY).await, store.get_fresh("c", KEY).await] {
        seen.add(&seen.check(got));
    }
    for got in seen
        .check(store.get_many("c", &[KEY, "none"]).await)
        .into_iter()
        .flatten()
    {
        seen.check(got);
    }
    let collections = store.collections(KeyQuery::new()).await;
    seen.check(collections);
    seen.check(
        store
            .keys("c", KeyQuery::new().with_prefix("hunter2"))
            .await,
    );
    seen.check(
        store
            .keys("c", KeyQuery::new().with_cursor(kv_core::Cursor::new(KEY)))
            .await,
    );
    seen.check(store.get("c", &KEY.repeat(1000)).await);
    seen.check(store.get("c::", KEY).await);
    let decoded: Result<Option<u64>> = store.get_value("c", KEY).await;
    seen.check(decoded);
    seen.check(store.take("c", KEY).await);
    seen.check(store.delete("c", KEY).await);
    seen.check(store.delete_many("c", &[KEY]).await);
    seen.check(store.watch(KEY).map(drop));
    seen.check(store.cull().await);
    seen.check(store.flush().await);
    seen.check(
        store
            .put("c", KEY, secret_entry(), PutMode::Overwrite)
            .await,
    );
    seen.check(store.clear("c").await);
    seen.check(store.destroy().await);
}

/// Every operation through every wrapper, over a store that works and then fails.
async fn through_the_wrappers(inside: impl Store + Clone, seen: &Seen) {
    let faults = FaultStore::new(inside.clone());
    let ring = ring(OLD).with_retired(FernetKey::derive(MATERIAL, MATERIAL).unwrap());
    seen.add(&ring);
    let inner = FernetStore::new(Arc::new(faults.clone()), ring.clone());
    let retry = inner.clone().retry().with_max_retries(1);
    let full = retry
        .with_initial_delay(Duration::ZERO)
        .compressed()
        .with_min_size(0)
        .stats()
        .traced()
        .with_level(Level::TRACE)
        .fallback(MemoryStore::new())
        .traced();
    let stores: [Box<dyn Store>; 5] = [
        Box::new(full),
        Box::new(inner.clone().with_format(Format::PythonCompatible)),
        Box::new(faults.clone().limit_size(3)),
        Box::new(
            faults
                .clone()
                .routing()
                .with_route(["c"], faults.clone())
                .traced(),
        ),
        Box::new(faults.clone().single_collection("all").unwrap().read_only()),
    ];
    for store in &stores {
        faults.heal();
        every_operation(&**store, seen).await;
        for fault in [Fault::unavailable(), Fault::outcome_unknown()] {
            faults.inject(fault);
            every_operation(&**store, seen).await;
            faults.heal();
        }
    }
    undecryptable(&inside, inner, seen).await;
}

/// Reads what was planted: plaintext, a record that was moved, of another key, and broken ones.
async fn undecryptable<S: Store>(inside: &dyn Store, store: FernetStore<S>, seen: &Seen) {
    let put = store.put("c", KEY, secret_entry(), PutMode::Overwrite);
    put.await.unwrap();
    let sealed = inside.get("c", KEY).await.unwrap().unwrap();
    let broken = |text: String| Entry::new(Value::from_json(text).unwrap());
    let mut flipped = String::from_utf8(sealed.value.as_bytes().to_vec()).unwrap();
    let place = flipped.find(":\"").unwrap() + 70;
    let other = if &flipped[place..=place] == "A" {
        "B"
    } else {
        "A"
    };
    flipped.replace_range(place..=place, other);
    let planted = [
        secret_entry(),
        broken(flipped),
        sealed.with_revision(None),
        broken(format!(
            r#"{{"__encrypted_data__":"{VALUE}","__encryption_version__":1}}"#
        )),
        broken(format!(r#"{{"__encrypted_data__":{{"a":"{VALUE}"}}}}"#)),
        broken(format!(r#"{{"__compressed_data__":"{VALUE}"}}"#)),
    ];
    for entry in planted {
        let put = inside.put("c", "hunter2-key-2", entry, PutMode::Overwrite);
        put.await.unwrap();
        assert!(seen.check(store.get("c", "hunter2-key-2").await).is_none());
    }
}

#[tokio::test]
async fn errors_debug_and_logs_hold_no_secret() {
    let seen = Seen::default();
    let log = seen.clone();
    // Of all threads and all crates. Under nextest, this process has no other test.
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(move || log.clone());
    subscriber.init();

    through_the_wrappers(MemoryStore::new(), &seen).await;
    let directory = tempfile::tempdir().unwrap();
    let disk = DiskStore::new(directory.path().join("db")).unwrap();
    through_the_wrappers(disk, &seen).await;
    for text in [MATERIAL, "", &NEW[1..]] {
        seen.add(&FernetKey::from_base64(text).unwrap_err());
    }
    seen.add(&(key(NEW), KeyRing::new(key(NEW))));

    let text = seen.text();
    for shown in [
        "kv_core::wrappers::traced",
        "it is not authentic",
        "it was moved",
        "it is not encrypted",
    ] {
        let is_shown = text.contains(shown);
        assert!(is_shown, "{shown} was not seen: the test sees too little");
    }
    let raw = "0123456789abcdef0123456789abcdef";
    for secret in [VALUE, KEY, MATERIAL, OLD, NEW, raw] {
        for form in forms(secret) {
            let found = text.lines().find(|line| line.contains(&form));
            assert!(found.is_none(), "{form}: {found:?}");
        }
    }
}
