//! [`Index`]: the names of all entries in order, for listing.
//!
//! The cache knows no order, so the names stand here a second time. Three rules keep the two in
//! step without one lock around both:
//!
//! - A write adds its mark before the cache gets the entry, and a removal takes its mark away after
//!   the entry, both while they hold the name's lock.
//! - What the cache itself evicts takes its mark along by way of the cache's eviction listener, but
//!   only its own: a mark of a later write stays.
//! - The index's own lock is held while nothing else is called.
//!
//! So an entry in the cache is always in the index, and a name is in the index without an entry only
//! while a write or a removal of it is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kv_core::Timestamp;

use crate::name::split;

/// The names of all entries, each with the mark of its last write.
#[derive(Default)]
pub(crate) struct Index(Mutex<Names>);

#[derive(Default)]
struct Names {
    marks: BTreeMap<Arc<str>, Mark>,
    /// The names that end, by their end, without those claimed for removal.
    ends: BTreeSet<(Timestamp, Arc<str>)>,
}

/// Which write put an entry there, and when the entry ends.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) count: u64,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Mark {
    pub(crate) fn is_expired(self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Index {
    /// Adds `name`, or gives it a new mark.
    pub(crate) fn mark(&self, name: &Arc<str>, mark: Mark) {
        let mut names = self.lock();
        let old = names.marks.insert(Arc::clone(name), mark);
        if let Some(end) = old.and_then(|old| old.expires_at) {
            names.ends.remove(&(end, Arc::clone(name)));
        }
        if let Some(end) = mark.expires_at {
            names.ends.insert((end, Arc::clone(name)));
        }
    }

    /// Removes `name`, unless a later write than number `count` has marked it.
    pub(crate) fn unmark(&self, name: &Arc<str>, count: u64) {
        let mut names = self.lock();
        let Some(mark) = names.marks.get(name).filter(|mark| mark.count == count) else {
            return;
        };
        if let Some(end) = mark.expires_at {
            names.ends.remove(&(end, Arc::clone(name)));
        }
        names.marks.remove(name);
    }

    /// Hands out up to `limit` names that have ended at `now`, the longest ended first. Each is
    /// handed out once: whoever gets it must remove what is stored there, if that is expired too.
    pub(crate) fn claim_expired(&self, now: Timestamp, limit: usize) -> Vec<Arc<str>> {
        let mut names = self.lock();
        let mut claimed = Vec::new();
        while claimed.len() < limit
            && names.ends.first().is_some_and(|(end, _)| *end <= now)
            && let Some((_, name)) = names.ends.pop_first()
        {
            claimed.push(name);
        }
        claimed
    }

    /// Returns the first `limit` names that start with `prefix` and lie after `after`. Fewer mean
    /// that there are no more.
    pub(crate) fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(Arc<str>, Mark)> {
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        self.lock()
            .marks
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .take(limit)
            .map(|(name, mark)| (Arc::clone(name), *mark))
            .collect()
    }

    /// Adds to `found` the collections that start with `prefix` and hold an entry that is live at
    /// `now`, in order from the name `start` on, until it has `limit` or `looks` names have been
    /// looked at. Returns the name to go on with; `None` when `found` is complete or full.
    pub(crate) fn collections(
        &self,
        prefix: &str,
        start: &str,
        looks: usize,
        now: Timestamp,
        limit: usize,
        found: &mut Vec<String>,
    ) -> Option<String> {
        let names = self.lock();
        let mut start = start.to_owned();
        let mut left = looks;
        while found.len() < limit {
            let rest = names
                .marks
                .range::<str, _>((Bound::Included(start.as_str()), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(prefix));
            let mut decided = None;
            for (name, mark) in rest {
                if left == 0 {
                    return Some(name.to_string());
                }
                left -= 1;
                let (collection, _) = split(name);
                let fits = collection.starts_with(prefix);
                if !fits || !mark.is_expired(now) {
                    decided = Some((collection, fits));
                    break;
                }
            }
            let (collection, fits) = decided?;
            start = end_of(collection);
            if fits {
                found.push(collection.to_owned());
            }
        }
        None
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().marks.len()
    }

    /// Nothing panics while the lock is held, so a poisoned one holds whole data.
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the least text above every name of `collection`: `;` follows `:`.
pub(crate) fn end_of(collection: &str) -> String {
    format!("{collection}:;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn index(names: &[&str]) -> Index {
        let index = Index::default();
        for name in names {
            let mark = Mark {
                count: 1,
                expires_at: name.ends_with("expired").then_some(NOW),
            };
            index.mark(&Arc::from(*name), mark);
        }
        index
    }

    fn scan(index: &Index, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let names = index.scan(prefix, after, limit);
        names.iter().map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn the_removal_of_an_older_entry_leaves_the_mark_of_a_later_write() {
        let index = index(&["a::k"]);
        let later = Mark {
            count: 2,
            expires_at: None,
        };
        let name = Arc::from("a::k");
        index.mark(&name, later);
        index.unmark(&name, 1);
        assert_eq!(index.len(), 1);
        index.unmark(&name, 2);
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_name_has_the_end_of_its_last_write_and_none_once_it_is_gone() {
        let index = Index::default();
        let name = Arc::from("a::k");
        for (count, end) in [(1, Some(1)), (2, Some(2)), (3, None), (4, Some(4))] {
            let expires_at = end.map(Timestamp::from_micros);
            index.mark(&name, Mark { count, expires_at });
            let ends: Vec<_> = index.lock().ends.iter().map(|(end, _)| *end).collect();
            assert_eq!(ends, Vec::from_iter(expires_at));
        }
        index.unmark(&name, 4);
        assert!(index.lock().ends.is_empty());
    }

    #[test]
    fn what_has_ended_is_claimed_once_and_the_rest_not_at_all() {
        let index = Index::default();
        for (name, end) in [("a::1", 1), ("a::2", 2), ("a::3", 3)] {
            let expires_at = Some(Timestamp::from_micros(end));
            let mark = Mark {
                count: 1,
                expires_at,
            };
            index.mark(&Arc::from(name), mark);
        }
        let now = Timestamp::from_micros(2);
        assert_eq!(index.claim_expired(now, 1), [Arc::from("a::1")]);
        assert_eq!(index.claim_expired(now, 9), [Arc::from("a::2")]);
        assert_eq!(index.claim_expired(now, 9), []);
    }

    #[test]
    fn a_scan_stays_within_its_prefix_and_goes_on_where_it_is_told() {
        let index = index(&["a-b::k", "a::k1", "a::k2", "a::l", "aa::k"]);
        assert_eq!(scan(&index, "a::k", None, 9), ["a::k1", "a::k2"]);
        assert_eq!(scan(&index, "a::", Some("a::k1"), 1), ["a::k2"]);
        assert_eq!(scan(&index, "a::", Some("a::l"), 9), [""; 0]);
    }

    #[test]
    fn a_place_outside_the_prefix_is_an_empty_scan() {
        let index = index(&["a::k", "b::k"]);
        for place in ["", "a::", "z", "\u{10ffff}"] {
            assert_eq!(scan(&index, "b::k", Some(place), 9).len(), 0, "{place}");
        }
    }

    /// The collections from `start` on, over steps of `looks` names.
    fn collections(index: &Index, prefix: &str, start: &str, looks: usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut start = start.to_owned();
        while let Some(next) = index.collections(prefix, &start, looks, NOW, 9, &mut found) {
            assert!(next > start);
            start = next;
        }
        found
    }

    #[test]
    fn a_collection_of_expired_entries_only_is_not_listed() {
        let index = index(&["a::expired", "b::a", "b::expired", "c::expired", "c::k"]);
        for looks in [1, 2, 9] {
            assert_eq!(collections(&index, "", "", looks), ["b", "c"]);
            assert_eq!(collections(&index, "", &end_of("b"), looks), ["c"]);
        }
    }

    #[test]
    fn one_step_over_the_collections_looks_at_so_many_names_and_no_more() {
        let index = index(&["a::1expired", "a::2expired", "a::3expired", "b::k"]);
        let mut found = Vec::new();
        let next = index.collections("", "", 2, NOW, 9, &mut found);
        assert_eq!((next.as_deref(), found.len()), (Some("a::3expired"), 0));
        let next = index.collections("", "a::3expired", 2, NOW, 1, &mut found);
        assert_eq!((next, &found[..]), (None, &["b".to_owned()][..]));
    }

    #[test]
    fn a_prefix_of_collections_is_not_met_by_the_separator() {
        let index = index(&["a::k", "a:b::k", "ab::k"]);
        assert_eq!(collections(&index, "a:", "a:", 9), ["a:b"]);
        assert_eq!(collections(&index, "a::", "a::", 9), [""; 0]);
    }
}
