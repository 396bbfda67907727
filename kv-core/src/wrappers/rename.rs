//! What wrappers have in common that rename or narrow.

use std::future::ready;

use futures_util::StreamExt as _;

use crate::{Change, Watch};

/// Renames the entries of `changes`, and leaves out those that `rename` has no name for.
pub(super) fn inside(
    changes: Watch,
    rename: impl Fn(String, String) -> Option<(String, String)> + Send + 'static,
) -> Watch {
    let changes = changes.filter_map(move |change| {
        ready(match change {
            Change::Entry { collection, key } => {
                let name = rename(collection, key);
                name.map(|(collection, key)| Change::Entry { collection, key })
            }
            other => Some(other),
        })
    });
    changes.boxed()
}

/// Borrows renamed keys as the bulk operations take them.
pub(super) fn as_strs(keys: &[String]) -> Vec<&str> {
    keys.iter().map(String::as_str).collect()
}
