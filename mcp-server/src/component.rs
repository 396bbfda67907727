//! What tools, resources and prompts have in common on the wire.

use std::any::TypeId;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::FromContext;
use crate::types::MetaObject;
use crate::version::{FASTMCP, VERSION};

/// The state types that a component takes, so that building the server can check them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequiredStates(Vec<(TypeId, &'static str)>);

impl RequiredStates {
    pub(crate) fn add<P: FromContext>(&mut self) {
        self.0.extend(P::required_state());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TypeId, &'static str)> + '_ {
        self.0.iter().copied()
    }
}

/// Returns the title that stands for a component without one: its name in words, each with a
/// capital.
pub(crate) fn title_of(name: &str) -> String {
    let mut title = String::with_capacity(name.len());
    for word in name.split(['_', '-', ' ']).filter(|word| !word.is_empty()) {
        if !title.is_empty() {
            title.push(' ');
        }
        let mut letters = word.chars();
        title.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        title.push_str(letters.as_str());
    }
    title
}

/// Returns `_meta`: what is given, with the tags and the version where FastMCP's clients look for
/// them; `None` when there is nothing of these.
pub(crate) fn meta_of(
    given: &MetaObject,
    tags: &BTreeSet<String>,
    version: Option<&str>,
) -> Option<MetaObject> {
    let mut meta = given.clone();
    if !tags.is_empty() {
        show(&mut meta, "tags", json!(tags));
    }
    if let Some(version) = version {
        show(&mut meta, VERSION, json!(version));
    }
    (!meta.is_empty()).then_some(meta)
}

/// Returns the tags that `_meta` shows.
pub(crate) fn tags_of(meta: Option<&MetaObject>) -> BTreeSet<String> {
    let tags = meta.and_then(|meta| meta.get(FASTMCP)?.get("tags")?.as_array());
    let tags = tags.into_iter().flatten().filter_map(Value::as_str);
    tags.map(str::to_owned).collect()
}

/// Adds to `_meta` which versions of a component there are.
pub(crate) fn show_versions(meta: &mut Option<MetaObject>, versions: &[&str]) {
    let meta = meta.get_or_insert_with(MetaObject::new);
    show(meta, "versions", json!(versions));
}

fn show(meta: &mut MetaObject, key: &str, value: Value) {
    match meta.get_mut(FASTMCP) {
        Some(Value::Object(others)) => {
            others.insert(key.to_owned(), value);
        }
        _ => {
            meta.insert(FASTMCP.to_owned(), json!({ key: value }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_name_in_words() {
        for (name, title) in [
            ("add", "Add"),
            ("set_config", "Set Config"),
            ("list-open__issues", "List Open Issues"),
            ("fetchURL", "FetchURL"),
            ("über_uns", "Über Uns"),
            ("", ""),
        ] {
            assert_eq!(title_of(name), title);
        }
    }

    #[test]
    fn tags_stand_sorted_under_fastmcp() {
        let tags = BTreeSet::from(["b".to_owned(), "a".to_owned()]);
        let nothing = MetaObject::new();
        let meta = serde_json::to_value(meta_of(&nothing, &tags, None)).unwrap();
        assert_eq!(meta, json!({"fastmcp": {"tags": ["a", "b"]}}));
        assert!(meta_of(&nothing, &BTreeSet::new(), None).is_none());
    }

    #[test]
    fn tags_leave_what_is_given_beside_them() {
        let tags = BTreeSet::from(["a".to_owned()]);
        let given = json!({"owner": "ops", "fastmcp": {"level": 1}});
        let given = MetaObject(crate::types::object(given));
        assert_eq!(
            serde_json::to_value(meta_of(&given, &tags, None)).unwrap(),
            json!({"owner": "ops", "fastmcp": {"level": 1, "tags": ["a"]}})
        );
        assert_eq!(meta_of(&given, &BTreeSet::new(), None), Some(given));
    }

    #[test]
    fn a_version_and_all_versions_stand_beside_the_tags() {
        let tags = BTreeSet::from(["a".to_owned()]);
        let mut meta = meta_of(&MetaObject::new(), &tags, Some("2.0"));
        show_versions(&mut meta, &["2.0", "1.0"]);
        assert_eq!(
            serde_json::to_value(meta).unwrap(),
            json!({"fastmcp": {"tags": ["a"], "version": "2.0", "versions": ["2.0", "1.0"]}})
        );
    }
}
