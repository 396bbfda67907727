//! Which slot a key is in, and which node has which slots.

use std::collections::{BTreeSet, HashSet};

use redis::Value;

use crate::error::Address;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Returns the slot of a key: that of what stands in its first braces, when anything does.
pub(crate) fn of(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag(key).unwrap_or(key)) % SLOTS
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = &key[open + 1..];
    let close = rest.iter().position(|byte| *byte == b'}')?;
    (close > 0).then(|| &rest[..close])
}

/// Which node has which slots, as one of them told it.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// The first and the last slot of a range, and its master; in ascending order.
    ranges: Vec<(u16, u16, Address)>,
    /// The masters' replicas.
    replicas: Vec<Address>,
}

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS` of the node at `host`, which leaves its own host empty.
    pub(crate) fn read(answer: &Value, host: &str) -> Option<Self> {
        let mut slots = Self::default();
        for range in items(answer)? {
            let [Value::Int(first), Value::Int(last), master, replicas @ ..] = items(range)? else {
                return None;
            };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            slots.ranges.push((first, last, address(master, host)?));
            let replicas = replicas.iter().filter_map(|node| address(node, host));
            slots.replicas.extend(replicas);
        }
        slots.ranges.sort_unstable();
        Some(slots)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns the master that has `slot`.
    pub(crate) fn master(&self, slot: u16) -> Option<&Address> {
        let after = self.ranges.partition_point(|(first, ..)| *first <= slot);
        let (_, last, master) = self.ranges[..after].last()?;
        (slot <= *last).then_some(master)
    }

    /// Returns the lowest slot of each master, in ascending order.
    pub(crate) fn parts(&self) -> Vec<u16> {
        let mut seen = HashSet::new();
        let masters = self.ranges.iter();
        let lowest = masters.filter(|(.., master)| seen.insert(master));
        lowest.map(|(first, ..)| *first).collect()
    }

    /// Returns the nodes that have slots.
    pub(crate) fn masters(&self) -> BTreeSet<Address> {
        let masters = self.ranges.iter().map(|(.., master)| master);
        masters.cloned().collect()
    }

    /// Returns every node, masters first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Address> {
        let masters = self.ranges.iter().map(|(.., master)| master);
        masters.chain(&self.replicas)
    }
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn address(node: &Value, teller: &str) -> Option<Address> {
    let [name, Value::Int(port), ..] = items(node)? else {
        return None;
    };
    let name = match name {
        Value::BulkString(name) => std::str::from_utf8(name).ok()?,
        Value::SimpleString(name) => name,
        _ => "",
    };
    Some((host(name, teller).to_owned(), u16::try_from(*port).ok()?))
}

/// Returns the host that is named; that of the node that tells of it when it has no name.
pub(super) fn host<'a>(name: &'a str, teller: &'a str) -> &'a str {
    if matches!(name, "" | "?") {
        teller
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, nodes: &[(&str, i64)]) -> Value {
        let mut range = vec![Value::Int(first), Value::Int(last)];
        range.extend(nodes.iter().map(|(host, port)| {
            let host = Value::BulkString(host.as_bytes().to_vec());
            Value::Array(vec![host, Value::Int(*port)])
        }));
        Value::Array(range)
    }

    #[test]
    fn a_key_is_in_the_slot_that_the_server_says() {
        // As `CLUSTER KEYSLOT` answers.
        assert_eq!(of(b"123456789"), 12_739);
        assert_eq!(of(b"users::{u1}:a"), of(b"u1"));
        assert_eq!(of(b"a{}{b}"), 15_033);
        assert_eq!(of(b"a{b"), 13_340);
        assert_eq!(of(b"a}{b}"), of(b"b"));
    }

    #[test]
    fn the_slots_of_a_cluster_are_read() {
        let answer = Value::Array(vec![
            range(5461, 10_922, &[("b", 2)]),
            range(0, 5460, &[("", 1), ("c", 4)]),
            range(10_923, 16_000, &[("b", 2)]),
        ]);
        let slots = Slots::read(&answer, "a").unwrap();
        assert_eq!(slots.master(5460), Some(&("a".to_owned(), 1)));
        assert_eq!(slots.master(5461), Some(&("b".to_owned(), 2)));
        assert_eq!(slots.master(16_001), None);
        assert_eq!(slots.parts(), [0, 5461]);
        assert_eq!(slots.nodes().count(), 4);
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        let port = Value::Array(vec![range(0, 1, &[("a", 70_000)])]);
        let slot = Value::Array(vec![range(-1, 1, &[("a", 1)])]);
        let no_master = Value::Array(vec![range(0, 1, &[])]);
        for answer in [Value::Nil, port, slot, no_master] {
            assert!(Slots::read(&answer, "a").is_none(), "{answer:?}");
        }
    }
}
