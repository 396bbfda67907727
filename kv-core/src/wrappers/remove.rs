//! What several wrappers do to remove only what they list.

use crate::{KeyQuery, Result, Store};

/// Clears every collection that `store` lists, adding to `removed` also when it fails.
pub(super) async fn remove_collections<S: Store>(store: &S, removed: &mut u64) -> Result<()> {
    let mut query = KeyQuery::new();
    loop {
        let page = store.collections(query.clone()).await?;
        for collection in page.collections {
            *removed += store.clear(&collection).await?;
        }
        let Some(next) = page.next else {
            return Ok(());
        };
        query.cursor = Some(next);
    }
}
