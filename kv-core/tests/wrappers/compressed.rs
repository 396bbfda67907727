//! `Compressed`: what is stored is shorter, and what is read is what was written.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt as _;
use kv_core::wrappers::Compressed;
use kv_core::{Entry, Error, PutMode, Store, StoreExt, Value};
use serde_json::json;

use super::{entry, number, put};
use crate::probe::Probe;

const MEBIBYTE: u64 = 1 << 20;

fn compressed() -> (Arc<Probe>, Compressed<Arc<Probe>>) {
    let store = Probe::new();
    let compressed = Arc::clone(&store).compressed();
    (store, compressed)
}

/// A text of `length` bytes that compresses well.
fn text(length: usize) -> String {
    let frame = r#"{"text":""}"#.len();
    let filler = "hello world ".chars().cycle().take(length - frame);
    format!(r#"{{"text":"{}"}}"#, filler.collect::<String>())
}

fn value(text: impl Into<String>) -> Value {
    Value::from_json(text.into()).unwrap()
}

/// The record of `data`, and gzip around `text` as such.
fn record(data: &[u8]) -> String {
    json!({ "__compressed_data__": STANDARD.encode(data) }).to_string()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

async fn put_text(store: &dyn Store, key: &str, text: &str) {
    let entry = Entry::new(value(text));
    let put = store.put("c", key, entry, PutMode::Overwrite);
    put.await.unwrap();
}

async fn get_text(store: &dyn Store, key: &str) -> kv_core::Result<String> {
    let entry = store.get("c", key).await?.unwrap();
    Ok(String::from_utf8(entry.value.as_bytes().to_vec()).unwrap())
}

/// What reading `stored` through the wrapper answers.
async fn read(stored: &str) -> kv_core::Result<String> {
    let (store, compressed) = compressed();
    put_text(&store, "k", stored).await;
    get_text(&compressed, "k").await
}

#[tokio::test]
async fn a_value_of_the_shortest_size_is_compressed_and_one_byte_less_is_not() {
    let (store, compressed) = compressed();
    for (length, is_compressed) in [(1023, false), (1024, true)] {
        put_text(&compressed, "k", &text(length)).await;
        let stored = get_text(&store, "k").await.unwrap();
        assert_eq!(stored != text(length), is_compressed, "{length}");
        assert_eq!(get_text(&compressed, "k").await.unwrap(), text(length));
    }
}

#[tokio::test]
async fn a_compressed_value_is_stored_as_python_stores_it() {
    let (store, compressed) = compressed();
    put_text(&compressed, "k", &text(5000)).await;
    let stored = get_text(&store, "k").await.unwrap();
    assert!(stored.len() < 300, "{}", stored.len());
    let record: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(record["__compression_version__"], 1);
    assert_eq!(record["__compression_algorithm__"], "gzip");
    let data = record["__compressed_data__"].as_str().unwrap();
    assert!(data.starts_with("H4sI"), "{data}");
    assert_eq!(record.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn every_level_reads_as_it_was_written_and_a_level_over_nine_is_nine() {
    let mut sizes = Vec::new();
    for level in [1, 9, u32::MAX] {
        let (store, compressed) = compressed();
        let compressed = compressed.with_level(level);
        put_text(&compressed, "k", &text(50_000)).await;
        assert_eq!(get_text(&compressed, "k").await.unwrap(), text(50_000));
        sizes.push(get_text(&store, "k").await.unwrap().len());
    }
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    assert_eq!(sizes[1], sizes[2]);
}

#[tokio::test]
async fn a_value_that_would_grow_is_stored_as_it_is() {
    let (store, compressed) = compressed();
    let random: Vec<u8> = (0..3000).map(|_| fastrand::u8(..)).collect();
    let text = json!({ "data": STANDARD.encode(random) }).to_string();
    put_text(&compressed, "k", &text).await;
    assert_eq!(get_text(&store, "k").await.unwrap(), text);
}

#[tokio::test]
async fn a_record_is_not_compressed_again() {
    let (store, inner) = compressed();
    let outer = inner.clone().compressed().with_min_size(0);
    let inner = inner.with_min_size(0);
    put_text(&inner, "once", &text(5000)).await;
    put_text(&outer, "twice", &text(5000)).await;
    let once = get_text(&store, "once").await.unwrap();
    assert_eq!(get_text(&store, "twice").await.unwrap(), once);
    assert_eq!(get_text(&outer, "twice").await.unwrap(), text(5000));
    // Also one that another program made.
    put_text(&inner, "again", &once).await;
    assert_eq!(get_text(&store, "again").await.unwrap(), once);
}

#[tokio::test]
async fn a_value_that_looks_like_a_record_reads_as_it_was_written() {
    let (_, compressed) = compressed();
    for text in [
        r#"{"__compressed_data__":5}"#.to_owned(),
        r#"{"__compressed_data__":"AAAA"}"#.to_owned(),
        r#"{"a":1,"\u005f_compressed_data__":null}"#.to_owned(),
        record(&gzip(b"[1]")),
        record(&gzip(&vec![b' '; 17 << 20])),
    ] {
        put_text(&compressed, "k", &text).await;
        assert!(get_text(&compressed, "k").await.unwrap() == text);
    }
}

#[tokio::test]
async fn a_record_is_known_whichever_letters_of_its_member_are_escaped() {
    let name = "__compressed_data__";
    let escapes = (0..name.len()).flat_map(|place| {
        let (before, rest) = name.split_at(place);
        let (letter, after) = rest.split_at(1);
        let code = letter.as_bytes()[0];
        [
            format!(r"{before}\u{code:04x}{after}"),
            format!(r"{before}\u{code:04X}{after}"),
        ]
    });
    for name in escapes {
        let data = STANDARD.encode(gzip(b"{}"));
        let stored = format!(r#"{{"a":{{}},"{name}":"{data}"}}"#);
        assert_eq!(read(&stored).await.unwrap(), "{}", "{name}");
    }
}

#[tokio::test]
async fn a_store_of_uncompressed_values_can_be_wrapped() {
    for length in [20, 5000, 100_000] {
        assert_eq!(read(&text(length)).await.unwrap(), text(length));
    }
}

/// What py-key-value-aio 0.5.0 stored, by itself, below and above Fernet, and what it reads of it.
#[tokio::test]
async fn what_python_stored_is_read_as_python_reads_it() {
    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        stored: serde_json::Value,
        reads_as: serde_json::Value,
    }
    let vectors = include_str!("../data/py-compressed.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    assert_eq!(vectors.len(), 9);
    for vector in vectors {
        let read = read(&vector.stored.to_string()).await;
        if vector.name == "read 1" {
            // A broken record, which Python hands out as if it were the value.
            assert_eq!(vector.reads_as, vector.stored);
            let error = read.unwrap_err();
            assert!(matches!(error, Error::Corrupted { .. }), "{error}");
            continue;
        }
        let read: serde_json::Value = serde_json::from_str(&read.unwrap()).unwrap();
        assert_eq!(read, vector.reads_as, "{}", vector.name);
    }
}

#[tokio::test]
async fn a_record_that_holds_no_object_is_corrupted() {
    let whole = gzip(text(500).as_bytes());
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let broken = [
        r#"{"__compressed_data__":5}"#.to_owned(),
        r#"{"__compressed_data__":"\ud800"}"#.to_owned(),
        r#"{"__compressed_data__":"H4sI*"}"#.to_owned(),
        record(b""),
        record(&whole[..whole.len() - 9]),
        record(&flipped),
        record(&[&whole[..], b"rest"].concat()),
        record(&gzip(b"")),
        record(&gzip(b"[1]")),
        record(&gzip(b"{\"a\":1} {}")),
        record(&gzip(b"{\"a\":\"\xff\"}")),
        record(&gzip(
            format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200)).as_bytes(),
        )),
    ];
    for stored in broken {
        let store = Probe::new();
        let entry = Entry::new(Value::from_stored(stored.clone().into()));
        let put = store.put("c", "k", entry, PutMode::Overwrite);
        put.await.unwrap();
        let error = store.compressed().get("c", "k").await.unwrap_err();
        assert!(
            matches!(error, Error::Corrupted { .. }),
            "{stored}: {error}"
        );
    }
}

#[tokio::test]
async fn a_record_made_of_two_streams_is_read_whole() {
    let text = text(100);
    let (one, two) = text.split_at(50);
    let both = [gzip(one.as_bytes()), gzip(two.as_bytes())].concat();
    assert_eq!(read(&record(&both)).await.unwrap(), text);
}

#[tokio::test]
async fn a_value_of_the_largest_size_passes_and_one_byte_more_is_too_large() {
    let (store, compressed) = compressed();
    let compressed = compressed.with_max_value_bytes(MEBIBYTE);
    let limit = usize::try_from(MEBIBYTE).unwrap();
    put_text(&compressed, "k", &text(limit)).await;
    assert!(get_text(&compressed, "k").await.unwrap() == text(limit));
    store.calls();

    let long = || Entry::new(value(text(limit + 1)));
    let put = compressed.put("c", "k", long(), PutMode::Overwrite);
    let many = vec![("a".to_owned(), entry(1)), ("b".to_owned(), long())];
    let many = compressed.put_many("c", many).await.unwrap_err();
    for error in [put.await.unwrap_err(), many] {
        let is_told =
            matches!(error, Error::TooLarge { limit: MEBIBYTE, size } if size == MEBIBYTE + 1);
        assert!(is_told, "{error:?}");
    }
    assert_eq!(store.calls(), [""; 0]);
}

/// A gibibyte in a megabyte, with an end that is not gzip: whoever reads that far gets another error.
#[tokio::test]
async fn a_bomb_is_corrupted_and_is_not_decompressed_beyond_the_limit() {
    let mut bomb = gzip(&vec![b' '; 1 << 20]).repeat(1024);
    bomb.extend_from_slice(b"rest");
    for max in [10, 100_000, MEBIBYTE] {
        let (store, compressed) = compressed();
        put_text(&store, "k", &record(&bomb)).await;
        let compressed = compressed.with_max_value_bytes(max);
        let error = compressed.get("c", "k").await.unwrap_err();
        assert!(matches!(error, Error::Corrupted { .. }), "{error}");
        let cause = error.driver_error::<Error>().unwrap();
        assert!(matches!(cause, Error::TooLarge { limit, .. } if *limit == max));
    }
}

#[tokio::test]
async fn one_broken_record_of_many_is_an_error_in_its_own_place() {
    let (store, compressed) = compressed();
    put_text(&compressed, "large", &text(100_000)).await;
    put_text(&store, "broken", r#"{"__compressed_data__":"AAAA"}"#).await;
    put_text(&compressed, "small", "{}").await;
    store.calls();
    let keys = ["small", "none", "broken", "large"];
    let found = compressed.get_many("c", &keys).await.unwrap();
    assert_eq!(store.calls(), ["get_many"]);
    let sizes = found.iter().map(|found| match found {
        Ok(entry) => entry.as_ref().map_or(0, |entry| entry.value.len()),
        Err(error) => {
            assert!(matches!(error, Error::Corrupted { .. }), "{error}");
            usize::MAX
        }
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [2, 0, usize::MAX, 100_000]);
}

#[tokio::test]
async fn a_broken_record_counts_as_present_and_take_removes_it() {
    let (store, compressed) = compressed();
    put_text(&store, "k", r#"{"__compressed_data__":"AAAA"}"#).await;
    let create = compressed.put("c", "k", entry(1), PutMode::Create).await;
    assert!(matches!(create, Err(Error::AlreadyExists)), "{create:?}");
    let taken = compressed.take("c", "k").await;
    assert!(matches!(taken, Err(Error::Corrupted { .. })), "{taken:?}");
    assert_eq!(compressed.get("c", "k").await.unwrap(), None);
}

#[tokio::test]
async fn revisions_and_expiries_are_those_of_the_store_inside() {
    let (store, compressed) = compressed();
    let end = store
        .clock()
        .now()
        .plus_ttl(std::time::Duration::from_secs(9));
    let entry = Entry::new(value(text(5000))).with_expires_at(end.unwrap());
    let revision = compressed.put("c", "k", entry.clone(), PutMode::Create);
    let revision = revision.await.unwrap();
    let (read, stored) = (compressed.get("c", "k"), store.get("c", "k"));
    let (read, stored) = (read.await.unwrap().unwrap(), stored.await.unwrap().unwrap());
    assert_eq!(read.revision, Some(revision.clone()));
    assert_eq!(stored.revision, Some(revision.clone()));
    assert_eq!(
        (read.expires_at, read.created_at),
        (stored.expires_at, stored.created_at)
    );
    let update = || compressed.put("c", "k", entry.clone(), PutMode::Update(revision.clone()));
    update().await.unwrap();
    assert!(matches!(update().await, Err(Error::Conflict)));
}

#[tokio::test]
async fn a_limit_around_it_limits_values_and_one_inside_what_is_stored() {
    let around = Probe::new().compressed().limit_size(1000);
    let inside = Probe::new().limit_size(1000).compressed();
    let entry = || Entry::new(value(text(5000)));
    let refused = around.put("c", "k", entry(), PutMode::Overwrite).await;
    assert!(
        matches!(refused, Err(Error::TooLarge { size: 5000, .. })),
        "{refused:?}"
    );
    inside
        .put("c", "k", entry(), PutMode::Overwrite)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_info_shows_the_lower_limit() {
    let (store, compressed) = compressed();
    let of_store = store.info().max_value_bytes;
    assert_eq!(compressed.info().max_value_bytes, of_store);
    let lower = compressed.with_max_value_bytes(10);
    assert_eq!(lower.info().max_value_bytes, Some(10));
}

/// Polled once in a runtime of one thread: what is still due then is done by another.
#[tokio::test]
async fn work_on_large_values_is_done_by_another_thread() {
    let (store, compressed) = compressed();
    let put = |length| {
        let entry = Entry::new(value(text(length)));
        compressed.put("c", "k", entry, PutMode::Overwrite)
    };
    assert!(put(30_000).now_or_never().is_some());
    assert!(compressed.get("c", "k").now_or_never().is_some());
    store.calls();
    // A dropped write writes nothing, though its value may still be compressed.
    assert!(put(4_000_000).now_or_never().is_none());
    assert_eq!(store.calls(), [""; 0]);
    put(4_000_000).await.unwrap();
    assert!(compressed.get("c", "k").now_or_never().is_none());
}

#[test]
fn without_a_runtime_work_is_done_in_place() {
    let (_, compressed) = compressed();
    let entry = Entry::new(value(text(1_000_000)));
    let put = compressed.put("c", "k", entry.clone(), PutMode::Overwrite);
    put.now_or_never().unwrap().unwrap();
    let read = compressed.get("c", "k").now_or_never().unwrap().unwrap();
    assert!(read.unwrap().value == entry.value);
}

#[tokio::test]
async fn bulk_operations_reach_the_store_as_bulk() {
    let (store, compressed) = compressed();
    let large = Entry::new(value(text(5000)));
    let entries = vec![("k".to_owned(), entry(1)), ("l".to_owned(), large)];
    compressed.put_many("c", entries).await.unwrap();
    assert_eq!(store.calls(), ["put_many"]);
    assert_eq!(get_text(&compressed, "l").await.unwrap(), text(5000));
    assert!(get_text(&store, "l").await.unwrap().len() < 300);
    put(&compressed, "c", "k", 2).await;
    assert_eq!(number(&store, "c", "k").await, Some(2));
}
