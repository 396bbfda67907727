//! [`Inbox`]: the changes that the servers told and nobody has taken yet, up to a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kv_core::Change;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use crate::name;

/// How much memory changes that nobody takes may need, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// What a change needs besides its names, in bytes, about.
const CHANGE_BYTES: usize = 64;

/// What the servers told of the collections that begin with a prefix.
pub(crate) struct Inbox {
    prefix: String,
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Default)]
struct Held {
    changes: VecDeque<Change>,
    bytes: usize,
    /// What did not fit was dropped, and all before it.
    overflowed: bool,
    ended: bool,
}

/// What an [`Inbox`] returns.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Change(Change),
    /// Changes were dropped, as there were too many. All that come later are kept again.
    TooMuch,
    /// A connection ended.
    End,
}

impl Inbox {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            held: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Takes in what a server sent.
    pub(crate) fn push(&self, push: &PushInfo) {
        if push.kind != PushKind::Invalidate {
            return;
        }
        let mut held = self.held();
        match push.data.as_slice() {
            [Value::Array(names)] => {
                let changes = names.iter().filter_map(|name| self.change(name));
                changes.for_each(|change| held.add(change));
            }
            // Everything was removed.
            _ => held.add(Change::Watching),
        }
        drop(held);
        self.changed.notify_one();
    }

    /// Says that a connection ended.
    pub(crate) fn end(&self) {
        self.held().ended = true;
        self.changed.notify_one();
    }

    /// Returns what comes next. An end goes before what was told until then.
    pub(crate) async fn next(&self) -> Told {
        loop {
            if let Some(told) = self.held().take() {
                return told;
            }
            self.changed.notified().await;
        }
    }

    /// Returns the change of a record, if it is one of a store and of the collections.
    fn change(&self, name: &Value) -> Option<Change> {
        let Value::BulkString(name) = name else {
            return None;
        };
        let (collection, key) = name::split(std::str::from_utf8(name).ok()?)?;
        let (collection, key) = (collection.to_owned(), key.to_owned());
        let concerns = collection.starts_with(&self.prefix);
        concerns.then_some(Change::Entry { collection, key })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // No code panics while it holds the lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn add(&mut self, change: Change) {
        if self.overflowed || self.ended {
            return;
        }
        self.bytes += bytes(&change);
        self.changes.push_back(change);
        if self.bytes > MOST_BYTES {
            *self = Self {
                overflowed: true,
                ..Self::default()
            };
        }
    }

    fn take(&mut self) -> Option<Told> {
        if self.ended {
            return Some(Told::End);
        }
        if self.overflowed {
            self.overflowed = false;
            return Some(Told::TooMuch);
        }
        let change = self.changes.pop_front()?;
        self.bytes -= bytes(&change);
        Some(Told::Change(change))
    }
}

fn bytes(change: &Change) -> usize {
    match change {
        Change::Entry { collection, key } => CHANGE_BYTES + collection.len() + key.len(),
        _ => CHANGE_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn push(names: &[&[u8]]) -> PushInfo {
        let names = names.iter().map(|name| Value::BulkString(name.to_vec()));
        PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Array(names.collect())],
        }
    }

    fn entry(collection: &str, key: &str) -> Told {
        Told::Change(Change::Entry {
            collection: collection.to_owned(),
            key: key.to_owned(),
        })
    }

    fn next(inbox: &Inbox) -> Option<Told> {
        inbox.next().now_or_never()
    }

    #[test]
    fn a_name_that_no_store_makes_is_passed_over() {
        let inbox = Inbox::new("");
        inbox.push(&push(&[b"other", b"::k", b"c::", b"c::\xff", b"c::k"]));
        assert_eq!(next(&inbox), Some(entry("c", "k")));
        assert_eq!(next(&inbox), None);
    }

    #[test]
    fn a_prefix_is_of_the_collection_and_not_of_the_name() {
        let inbox = Inbox::new("c::k");
        inbox.push(&push(&[b"c::k"]));
        assert_eq!(next(&inbox), None);
    }

    #[test]
    fn what_nobody_takes_is_dropped_at_the_bound_and_later_changes_are_told() {
        let inbox = Inbox::new("");
        let name = [b"c::".as_slice(), &[b'k'; 1000]].concat();
        let mut most = 0;
        for _ in 0..100_000 {
            inbox.push(&push(&[&name]));
            most = most.max(inbox.held().bytes);
        }
        assert!(most <= MOST_BYTES, "{most}");
        inbox.push(&push(&[b"c::unseen"]));
        assert_eq!(next(&inbox), Some(Told::TooMuch));
        inbox.push(&push(&[b"c::k"]));
        assert_eq!(next(&inbox), Some(entry("c", "k")));
        assert_eq!(next(&inbox), None);
        assert_eq!(inbox.held().bytes, 0);
    }

    #[test]
    fn an_answer_of_another_form_may_mean_anything() {
        let inbox = Inbox::new("");
        for data in [vec![], vec![Value::Nil], vec![Value::Int(1), Value::Nil]] {
            let kind = PushKind::Invalidate;
            inbox.push(&PushInfo { kind, data });
            assert_eq!(next(&inbox), Some(Told::Change(Change::Watching)));
        }
    }

    #[test]
    fn an_end_goes_before_what_was_told() {
        let inbox = Inbox::new("");
        inbox.push(&push(&[b"c::k"]));
        inbox.end();
        assert_eq!(next(&inbox), Some(Told::End));
        assert_eq!(next(&inbox), Some(Told::End));
    }
}
