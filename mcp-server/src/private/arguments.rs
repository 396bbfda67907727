//! [`Arguments`]: taking a call's arguments apart, and complaining about all of them at once.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::missing::Missing;
use super::text::from_text;
use crate::types::{JsonObject, PromptArgument};

/// How many characters of what a client sent an error message repeats.
const QUOTED_CHARACTERS: usize = 100;

/// Returns the JSON Schema of the arguments that are the fields of `T`.
#[must_use]
pub fn input_schema<T: JsonSchema>() -> JsonObject {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .ensure_object()
        .clone();
    for noise in ["$schema", "title", "description"] {
        schema.remove(noise);
    }
    schema.entry("properties").or_insert_with(|| json!({}));
    schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    schema
}

/// Describes the argument `name` of type `T` of a prompt.
#[must_use]
pub fn prompt_argument<T: DeserializeOwned>(
    name: &str,
    description: Option<&str>,
    has_default: bool,
) -> PromptArgument {
    let required = !has_default && T::deserialize(Missing).is_err();
    let mut argument = PromptArgument::new(name).with_required(required);
    argument.description = description.map(str::to_owned);
    argument
}

/// The arguments of one call, and what is wrong with them.
#[derive(Debug)]
pub struct Arguments {
    given: JsonObject,
    known: &'static [&'static str],
    problems: Vec<Problem>,
}

#[derive(Debug)]
enum Problem {
    Missing(&'static str),
    Invalid(&'static str, String),
}

impl Arguments {
    /// Begins to take `given` apart, in which only `known` names may stand.
    #[must_use]
    pub const fn new(given: JsonObject, known: &'static [&'static str]) -> Self {
        Self {
            given,
            known,
            problems: Vec::new(),
        }
    }

    /// Takes the argument `name`; `None` when something is wrong with it.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.take_with(name, |value| serde_json::from_value(value))
    }

    /// Takes the argument `name` of a prompt, whose value is text.
    pub fn take_text<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.take_with(name, |value| match value {
            Value::String(text) => from_text(&text),
            value => serde_json::from_value(value),
        })
    }

    /// Tells whether `name` was given; what is not can be filled by a default.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Tells whether nothing was wrong, once all are taken.
    #[must_use]
    pub fn are_valid(&self) -> bool {
        self.problems.is_empty() && self.given.is_empty()
    }

    /// Says what was wrong, a line for each argument. `schema` is that of all of them.
    #[must_use]
    pub fn complaint(&self, schema: &JsonObject) -> String {
        let mut lines: Vec<String> = self
            .problems
            .iter()
            .map(|problem| problem.line(schema))
            .collect();
        if !self.given.is_empty() {
            lines.push(self.unknown());
        }
        lines.join("\n")
    }

    fn take_with<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Value) -> Result<T, serde_json::Error>,
    ) -> Option<T> {
        let (value, problem) = match self.given.remove(name) {
            None => (T::deserialize(Missing).ok(), Problem::Missing(name)),
            Some(value) => match read(value) {
                Ok(value) => return Some(value),
                Err(error) => (None, Problem::Invalid(name, error.to_string())),
            },
        };
        if value.is_none() {
            self.problems.push(problem);
        }
        value
    }

    fn unknown(&self) -> String {
        let names: Vec<_> = self.given.keys().map(|name| format!("`{name}`")).collect();
        let noun = if names.len() == 1 {
            "argument"
        } else {
            "arguments"
        };
        let names = shortened(names.join(", "));
        if self.known.is_empty() {
            return format!("unknown {noun} {names}; there are none");
        }
        format!("unknown {noun} {names}; known: {}", self.known.join(", "))
    }
}

impl Problem {
    fn line(&self, schema: &JsonObject) -> String {
        match self {
            Self::Missing(name) => match kind_of(schema, name) {
                Some(kind) => format!("missing argument `{name}` ({kind})"),
                None => format!("missing argument `{name}`"),
            },
            Self::Invalid(name, error) => {
                let short = shortened(error.clone());
                // What was expected stands at the end of serde's message.
                match kind_of(schema, name).filter(|_| short != *error) {
                    Some(kind) => format!("argument `{name}`: {short} (expected {kind})"),
                    None => format!("argument `{name}`: {short}"),
                }
            }
        }
    }
}

/// Returns `text`, cut to [`QUOTED_CHARACTERS`].
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(QUOTED_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Returns what kind of JSON the argument `name` is, where its schema says so.
fn kind_of(schema: &JsonObject, name: &str) -> Option<String> {
    let mut argument = schema.get("properties")?.get(name)?;
    if let Some(definition) = argument.get("$ref").and_then(Value::as_str) {
        let name = definition.strip_prefix("#/$defs/")?;
        argument = schema.get("$defs")?.get(name)?;
    }
    match argument.get("type")? {
        Value::String(kind) => Some(kind.clone()),
        Value::Array(kinds) => {
            let kinds: Option<Vec<_>> = kinds.iter().map(Value::as_str).collect();
            Some(kinds?.join(" or "))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::object;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only the schema is of interest")]
    struct Two {
        a: i64,
        b: Option<String>,
    }

    fn arguments(given: Value) -> Arguments {
        Arguments::new(object(given), &["a", "b"])
    }

    #[test]
    fn what_may_be_missing_may_also_be_null() {
        for given in [json!({"a": 1}), json!({"a": 1, "b": null})] {
            let mut arguments = arguments(given);
            assert_eq!(arguments.take::<i64>("a"), Some(1));
            assert_eq!(arguments.take::<Option<String>>("b"), Some(None));
            assert!(arguments.are_valid());
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let mut arguments = arguments(json!({"b": 1, "c": 2}));
        assert_eq!(arguments.take::<i64>("a"), None);
        assert_eq!(arguments.take::<Option<String>>("b"), None);
        assert!(!arguments.are_valid());
        assert_eq!(
            arguments.complaint(&input_schema::<Two>()),
            "missing argument `a` (integer)\n\
             argument `b`: invalid type: integer `1`, expected a string\n\
             unknown argument `c`; known: a, b"
        );
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        let secret = "s".repeat(1000);
        let mut arguments = arguments(json!({"a": secret, secret.as_str(): 1}));
        assert_eq!(arguments.take::<i64>("a"), None);
        let complaint = arguments.complaint(&input_schema::<Two>());
        assert!(complaint.chars().count() < 330, "{complaint}");
        assert!(complaint.contains("(expected integer)"), "{complaint}");
    }

    #[test]
    fn a_schema_always_has_properties_and_refuses_others() {
        #[derive(JsonSchema)]
        struct Nothing {}

        assert_eq!(
            Value::from(input_schema::<Nothing>()),
            json!({"type": "object", "properties": {}, "additionalProperties": false})
        );
    }

    #[test]
    fn a_prompt_argument_is_required_unless_it_may_be_missing() {
        let required = |argument: PromptArgument| argument.required.unwrap();
        assert!(required(prompt_argument::<String>("a", None, false)));
        assert!(!required(prompt_argument::<Option<i64>>("a", None, false)));
        assert!(!required(prompt_argument::<String>("a", None, true)));
    }
}
