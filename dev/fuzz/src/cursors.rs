use std::sync::LazyLock;

use kv_core::wrappers::{Fallback, PrefixCollections, PrefixKeys, Routing, SingleCollection};
use kv_core::{Cursor, Entry, KeyQuery, PutMode, Store, Value};
use kv_disk::DiskStore;
use kv_memory::MemoryStore;

/// Stands in for any number of pages that ends: there are six entries in a store.
const MAX_PAGES: usize = 64;

/// Lists from the cursor `data`: an error, or pages that end.
pub fn cursors(data: &[u8]) {
    let (choice, data) = crate::first(data);
    let text = String::from_utf8_lossy(data);
    let stores = &*STORES;
    let store = &stores[usize::from(choice & 15) % stores.len()];
    let query = KeyQuery::new()
        .with_cursor(Cursor::new(text))
        .with_page_size(1 + usize::from(choice >> 6));
    crate::block_on(async {
        follow(query.clone(), async |query| {
            let page = store.keys("a", query).await.ok()?;
            Some((page.keys, page.next))
        })
        .await;
        follow(query, async |query| {
            let page = store.collections(query).await.ok()?;
            Some((page.collections, page.next))
        })
        .await;
    });
}

/// Follows the cursors from `query` on to the last page.
async fn follow(
    mut query: KeyQuery,
    list: impl AsyncFn(KeyQuery) -> Option<(Vec<String>, Option<Cursor>)>,
) {
    for _ in 0..MAX_PAGES {
        let Some((names, next)) = list(query.clone()).await else {
            return;
        };
        assert!(
            names.len() <= query.page_size(),
            "a page is larger than asked for"
        );
        let Some(next) = next else {
            return;
        };
        query.cursor = Some(next);
    }
    panic!("the pages do not end");
}

static STORES: LazyLock<Vec<Box<dyn Store>>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let disk = DiskStore::new(directory.path().join("db")).expect("the store opens");
    // The store outlives its name: the files are gone when the process is.
    drop(directory);
    let memory = MemoryStore::new;
    let stores: Vec<Box<dyn Store>> = vec![
        Box::new(memory()),
        Box::new(disk),
        Box::new(Routing::new(memory()).with_route(["b"], memory())),
        Box::new(Fallback::new(memory(), memory())),
        Box::new(SingleCollection::new(memory(), "all").expect("it is a name")),
        Box::new(PrefixKeys::new(memory(), "p").expect("it is a prefix")),
        Box::new(PrefixCollections::new(memory(), "p").expect("it is a prefix")),
    ];
    crate::block_on(async {
        for store in &stores {
            for (collection, key) in [("a", "1"), ("a", "2"), ("a", "é"), ("b", "1"), ("c", "1")] {
                let entry = Entry::new(Value::from_json("{}").expect("it is JSON"));
                let put = store.put(collection, key, entry, PutMode::Overwrite).await;
                put.expect("the store takes it");
            }
        }
    });
    stores
});
