//! [`Version`]: that of a component, and [`Wanted`]: the one that a request asks for.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr as _;

use pep440_rs::Version as Pep440;
use serde_json::Value;

use crate::server::quoted;
use crate::types::JsonObject;

/// Where requests and components have what is FastMCP's own in their `_meta`.
pub(crate) const FASTMCP: &str = "fastmcp";

/// Where that has a version.
pub(crate) const VERSION: &str = "version";

/// How many bytes a version may have.
const MAX_BYTES: usize = 64;

/// The version of a component.
///
/// It is ordered as FastMCP does it: by PEP 440, with any `v` before it left out, so that `v2` is
/// `2.0` and less than `10`. A text that is no such version comes after all that are, in the order of
/// characters.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    text: String,
    order: Order,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Pep440(Pep440),
    Text(String),
}

impl Order {
    fn of(text: &str) -> Self {
        match Pep440::from_str(text.trim_start_matches('v')) {
            Ok(version) => Self::Pep440(version),
            Err(_) => Self::Text(text.to_owned()),
        }
    }
}

impl Version {
    /// Reads what a component gives as its version.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let fits = |c: char| c.is_ascii_graphic() && c != '@';
        if !(1..=MAX_BYTES).contains(&text.len()) || !text.chars().all(fits) {
            return Err(format!(
                "the version {} is not of 1 to {MAX_BYTES} visible ASCII characters other than `@`",
                quoted(text)
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            order: Order::of(text),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

/// The versions of a component that a request asks for, by `_meta.fastmcp.version`: a text for
/// just that one, or an object of `gte`, `lt` and `eq`, of which the last rules out the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    equal: Option<Version>,
    from: Option<Version>,
    before: Option<Version>,
}

impl Wanted {
    /// Asks for just this version.
    pub(crate) fn exactly(version: Version) -> Self {
        Self {
            equal: Some(version),
            ..Self::default()
        }
    }

    /// Reads what the `_meta` of a request asks for; `None` for the highest version there is.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(crate) fn of(meta: &JsonObject) -> Result<Option<Self>, String> {
        match meta.get(FASTMCP).and_then(|ours| ours.get(VERSION)) {
            None | Some(Value::Null) => Ok(None),
            // FastMCP takes it for none.
            Some(Value::String(version)) if version.is_empty() => Ok(None),
            Some(Value::String(version)) => Ok(Some(Self::exactly(Version::parse(version)?))),
            Some(Value::Object(bounds)) => Self::between(bounds),
            Some(_) => Err(malformed()),
        }
    }

    fn between(bounds: &JsonObject) -> Result<Option<Self>, String> {
        let mut wanted = Self::default();
        for (name, version) in bounds {
            let bound = match name.as_str() {
                "eq" => &mut wanted.equal,
                "gte" => &mut wanted.from,
                "lt" => &mut wanted.before,
                _ => return Err(malformed()),
            };
            *bound = match version {
                Value::Null => None,
                Value::String(version) => Some(Version::parse(version)?),
                _ => return Err(malformed()),
            };
        }
        Ok((wanted != Self::default()).then_some(wanted))
    }

    /// Tells whether a component of this version will do; one without a version always does.
    pub(crate) fn takes(&self, version: Option<&Version>) -> bool {
        let Some(version) = version else {
            return true;
        };
        match &self.equal {
            Some(equal) => version == equal,
            None => {
                self.from.as_ref().is_none_or(|from| version >= from)
                    && self.before.as_ref().is_none_or(|before| version < before)
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.equal, &self.from, &self.before) {
            (Some(equal), ..) => write!(f, "version {equal}"),
            (None, Some(from), None) => write!(f, "version {from} or later"),
            (None, None, Some(before)) => write!(f, "a version before {before}"),
            (None, Some(from), Some(before)) => {
                write!(f, "a version from {from} to before {before}")
            }
            (None, None, None) => write!(f, "any version"),
        }
    }
}

fn malformed() -> String {
    "`_meta.fastmcp.version` is neither a text nor an object of the texts `gte`, `lt` and `eq`"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::object;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn wanted(version: &Value) -> Result<Option<Wanted>, String> {
        Wanted::of(&object(json!({ "fastmcp": { "version": version } })))
    }

    fn taken(wants: &Value, versions: &[&'static str]) -> Vec<&'static str> {
        let wanted = wanted(wants).unwrap().unwrap();
        let taken = versions.iter().copied();
        taken
            .filter(|text| wanted.takes(Some(&version(text))))
            .collect()
    }

    #[test]
    fn versions_are_in_the_order_of_pep_440_and_other_texts_after_them() {
        // sorted(.., key=fastmcp.utilities.versions.parse_version_key)
        let sorted = [
            "0.9",
            "1.0.dev1",
            "1.0a2",
            "v1.0rc1",
            "1",
            "1.0.1",
            "v1.9",
            "1.10",
            "2",
            "10",
            "2025.1.15",
            "1!0.1",
            "2025-01-15",
            "beta",
            "latest",
        ];
        assert!(sorted.is_sorted_by_key(|text| version(text)));
        for pair in sorted.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn two_spellings_of_a_version_are_the_same() {
        for (one, other) in [("1", "1.0"), ("v2", "2.0.0"), ("1.0-1", "1.0.post1")] {
            assert_eq!(version(one), version(other));
        }
        assert_ne!(version("Beta"), version("beta"));
    }

    #[test]
    fn a_version_is_a_short_visible_text_without_an_at() {
        for text in ["", "1@2", "1 2", "1\n", "é", &"1".repeat(65)] {
            Version::parse(text).unwrap_err();
        }
        version(&"1".repeat(64));
    }

    #[test]
    fn a_text_wants_just_that_version() {
        assert_eq!(taken(&json!("v1.0"), &["1", "1.1", "2"]), ["1"]);
        assert_eq!(taken(&json!({ "eq": "2", "lt": "1" }), &["1", "2"]), ["2"]);
    }

    #[test]
    fn bounds_want_what_is_between_them() {
        let versions = ["1.0", "1.5", "2.0", "2.1"];
        assert_eq!(
            taken(&json!({ "gte": "1.5" }), &versions),
            ["1.5", "2.0", "2.1"]
        );
        assert_eq!(taken(&json!({ "lt": "2.0" }), &versions), ["1.0", "1.5"]);
        let both = json!({ "gte": "1.5", "lt": "2.1", "eq": null });
        assert_eq!(taken(&both, &versions), ["1.5", "2.0"]);
    }

    #[test]
    fn a_component_without_a_version_is_any_version() {
        assert!(wanted(&json!("3")).unwrap().unwrap().takes(None));
    }

    #[test]
    fn no_bound_wants_nothing_special() {
        for nothing in [json!(null), json!({}), json!({ "eq": null })] {
            assert_eq!(wanted(&nothing).unwrap(), None);
        }
        assert_eq!(Wanted::of(&JsonObject::new()).unwrap(), None);
        let other = object(json!({ "fastmcp": "2.0" }));
        assert_eq!(Wanted::of(&other).unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for nonsense in [
            json!(2),
            json!(["1"]),
            json!({ "gt": "1" }),
            json!({ "lt": 1 }),
        ] {
            assert!(wanted(&nonsense).unwrap_err().contains("gte"));
        }
        assert!(wanted(&json!("a b")).unwrap_err().contains("a b"));
    }
}
