//! [`Key`]: what tells the answers to one message from those to others.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::hash::hex;
use crate::types::JsonObject;

/// What tells the answers to one message from those to others: a hash of its parts, none of which
/// can pass for another.
pub(super) struct Key(Sha256);

impl Key {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.update(text.len().to_be_bytes());
        self.0.update(text);
    }

    /// Adds the members of an object, in the order of their names.
    pub(super) fn members(&mut self, members: Option<&JsonObject>) {
        let Some(members) = members else {
            return self.mark(b'-');
        };
        self.mark(b'{');
        self.0.update(members.len().to_be_bytes());
        let mut members: Vec<_> = members.iter().collect();
        members.sort_unstable_by_key(|(name, _)| *name);
        for (name, value) in members {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.mark(b'0'),
            Value::Bool(false) => self.mark(b'f'),
            Value::Bool(true) => self.mark(b't'),
            Value::Number(number) => {
                self.mark(b'n');
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.mark(b'"');
                self.text(text);
            }
            Value::Array(items) => {
                self.mark(b'[');
                self.0.update(items.len().to_be_bytes());
                for item in items {
                    self.value(item);
                }
            }
            Value::Object(members) => self.members(Some(members)),
        }
    }

    fn mark(&mut self, mark: u8) {
        self.0.update([mark]);
    }

    pub(super) fn end(self) -> String {
        hex(&self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::object;

    fn key(members: Value) -> String {
        let mut key = Key::new();
        key.members(Some(&object(members)));
        key.end()
    }

    #[test]
    fn the_order_of_members_makes_no_difference() {
        let text = r#"{"b": {"d": [1, null], "c": true}, "a": "x"}"#;
        let other = r#"{"a": "x", "b": {"c": true, "d": [1, null]}}"#;
        let read = |text| key(serde_json::from_str(text).unwrap());
        assert_eq!(read(text), read(other));
    }

    #[test]
    fn different_values_have_different_keys() {
        let values = [
            json!({}),
            json!({ "a": null }),
            json!({ "a": 1 }),
            json!({ "a": 1.0 }),
            json!({ "a": "1" }),
            json!({ "a": [1] }),
            json!({ "a": [[1], 2] }),
            json!({ "a": [[1, 2]] }),
            json!({ "a": { "b": 1 } }),
            json!({ "a": {}, "b": 1 }),
            json!({ "ab": 1 }),
        ];
        let mut keys: Vec<_> = values.into_iter().map(key).collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
