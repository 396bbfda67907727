//! [`Page`]: a part of a list, and how lists are handed out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rmcp::ErrorData;

use crate::types::{self, CacheScope};

/// What a cursor begins with, before it is encoded.
const MARK: &str = "after ";

/// How lists are handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists {
    pub(crate) page_size: usize,
    /// How long a client may keep a list.
    pub(crate) ttl: Duration,
    pub(crate) scope: CacheScope,
}

impl Lists {
    /// All on one page, which is not to be kept.
    pub(crate) const fn new() -> Self {
        Self {
            page_size: usize::MAX,
            ttl: Duration::ZERO,
            scope: CacheScope::Private,
        }
    }

    fn ttl_ms(self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What a list is in the order of.
pub(crate) trait Key: Ord {
    fn of(name: &str) -> Self;

    fn name(&self) -> &str;
}

impl Key for String {
    fn of(name: &str) -> Self {
        name.to_owned()
    }

    fn name(&self) -> &str {
        self
    }
}

/// A part of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The cursor of what follows, if anything does.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// Returns at most `size` of the `entries` that `wire` shows, from the first one after that of
    /// the name `after`.
    ///
    /// Since a cursor is a place in the order of keys, entries that come and go between two pages
    /// neither repeat nor hide others.
    pub(crate) fn of<K: Key, E>(
        entries: &BTreeMap<K, E>,
        after: Option<&str>,
        size: usize,
        wire: impl Fn(&E) -> Option<T>,
    ) -> Self {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(K::of(name)));
        let mut shown = entries
            .range((start, Bound::Unbounded))
            .filter_map(|(key, entry)| Some((key, wire(entry)?)));
        let mut last = None;
        let items = shown.by_ref().take(size).map(|(key, item)| {
            last = Some(key.name());
            item
        });
        let items = items.collect();
        let next = shown.next().and(last).map(cursor);
        Self { items, next }
    }
}

/// A page, and how it may be kept, if its client is to know.
#[derive(Debug)]
pub(crate) struct Listed<T> {
    pub(crate) page: Page<T>,
    pub(crate) hints: Option<Lists>,
}

macro_rules! results {
    ($($result:ident of $item:ident),*) => {$(
        impl From<Listed<types::$item>> for types::$result {
            fn from(Listed { page, hints }: Listed<types::$item>) -> Self {
                Self {
                    next_cursor: page.next,
                    ttl_ms: hints.map(Lists::ttl_ms),
                    cache_scope: hints.map(|lists| lists.scope),
                    ..Self::with_all_items(page.items)
                }
            }
        }
    )*};
}

results!(
    ListToolsResult of Tool,
    ListResourcesResult of Resource,
    ListResourceTemplatesResult of ResourceTemplate,
    ListPromptsResult of Prompt
);

/// Returns the name after which a page begins; `None` for the first page.
///
/// # Errors
///
/// When the cursor is none of this server's.
pub(crate) fn after(cursor: Option<&str>) -> Result<Option<String>, ErrorData> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let text = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    let name = text.as_deref().and_then(|text| text.strip_prefix(MARK));
    match name {
        Some(name) => Ok(Some(name.to_owned())),
        None => {
            let message = "the cursor is not one of this server's";
            Err(ErrorData::invalid_params(message, None))
        }
    }
}

fn cursor(name: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("{MARK}{name}"))
}
