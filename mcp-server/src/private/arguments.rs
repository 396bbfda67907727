//! [`Arguments`]: taking a call's arguments apart, and complaining about all of them at once.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Number, Value, json};

use super::missing::Missing;
use super::text::from_text;
use crate::tools::{kind_of, shortened};
use crate::types::{JsonObject, PromptArgument};

/// How many texts of a client a message is searched for.
const MAX_HIDDEN: usize = 20;

/// How long a text is that a message does not repeat. Shorter ones are parts of words.
const MIN_HIDDEN_BYTES: usize = 4;

/// Returns the JSON Schema of the arguments that are the fields of `T`; no others may stand among
/// them unless `T` says so.
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
    schema.entry("type").or_insert_with(|| json!("object"));
    schema.entry("properties").or_insert_with(|| json!({}));
    // Where there are several forms, each has properties of its own.
    let forms = ["oneOf", "anyOf", "allOf", "$ref"];
    if !forms.iter().any(|keyword| schema.contains_key(*keyword)) {
        let others = schema.entry("additionalProperties");
        others.or_insert(Value::Bool(false));
    }
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
        self.take_with(name, read)
    }

    /// Takes the argument `name` of a prompt, whose value is text.
    pub fn take_text<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.take_with(name, |value| match value {
            Value::String(text) => from_text(text),
            value => T::deserialize(value),
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
        read: impl FnOnce(&Value) -> Result<T, serde_json::Error>,
    ) -> Option<T> {
        let (value, problem) = match self.given.remove(name) {
            None => (T::deserialize(Missing).ok(), Problem::Missing(name)),
            Some(value) => match read(&value) {
                Ok(value) => return Some(value),
                Err(error) => (None, Problem::Invalid(name, masked(&error, &value))),
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
        let names = shortened(&names.join(", "));
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
            Self::Invalid(name, error) => format!("argument `{name}`: {error}"),
        }
    }
}

/// Returns what serde says of `value`, without the value: neither what serde itself repeats of it
/// nor its texts, as far as they are long enough to be a secret.
pub(crate) fn masked(error: &serde_json::Error, value: &Value) -> String {
    let mut text = error.to_string();
    let repeats = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .any(|start| text.starts_with(start));
    if let Some(start) = text.rfind("expected ").filter(|_| repeats) {
        return shortened(&text[start..]);
    }
    let mut secrets = Vec::new();
    texts(value, &mut secrets);
    for secret in secrets {
        text = text.replace(secret, "…");
    }
    shortened(&text)
}

/// Collects the first [`MAX_HIDDEN`] texts in `value` of at least [`MIN_HIDDEN_BYTES`].
fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    if found.len() == MAX_HIDDEN {
        return;
    }
    match value {
        Value::String(text) if text.len() >= MIN_HIDDEN_BYTES => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(members) => members.values().for_each(|member| texts(member, found)),
        _ => {}
    }
}

/// Reads `value` as a `T`. Like JSON Schema, and unlike serde, it takes 10.0 for the integer 10.
///
/// # Errors
///
/// When `value` is no `T`.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(value).or_else(|error| {
        if !has_whole_float(value) {
            return Err(error);
        }
        serde_json::from_value(with_integers(value.clone())).map_err(|_| error)
    })
}

/// Returns the integer that `number` is, written as a fraction.
fn integer_of(number: &Number) -> Option<Number> {
    /// Beyond it not all integers are floats.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

    let float = number.as_f64().filter(|_| number.is_f64())?;
    if float.fract() != 0.0 || float.abs() > MAX_EXACT {
        return None;
    }
    Number::from_i128(float as i128)
}

fn has_whole_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => integer_of(number).is_some(),
        Value::Array(items) => items.iter().any(has_whole_float),
        Value::Object(members) => members.values().any(has_whole_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn with_integers(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(integer_of(&number).unwrap_or(number)),
        Value::Array(items) => items.into_iter().map(with_integers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, with_integers(value)))
            .collect(),
        other => other,
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
             argument `b`: expected a string\n\
             unknown argument `c`; known: a, b"
        );
    }

    #[test]
    fn a_long_value_is_not_repeated_whole() {
        let secret = "s".repeat(1000);
        let mut arguments = arguments(json!({"a": secret, secret.as_str(): 1}));
        assert_eq!(arguments.take::<i64>("a"), None);
        let complaint = arguments.complaint(&input_schema::<Two>());
        assert!(complaint.chars().count() < 200, "{complaint}");
        assert!(
            complaint.starts_with("argument `a`: expected i64\n"),
            "{complaint}"
        );
    }

    #[test]
    fn a_type_of_ones_own_does_not_repeat_a_text() {
        let error = serde::de::Error::custom("\"hunter2\" is no key, nor is hunter2!");
        let value = json!({"deep": ["x", "hunter2"]});
        assert_eq!(masked(&error, &value), "\"…\" is no key, nor is …!");
        assert_eq!(masked(&error, &json!(["no"])), error.to_string());
    }

    #[test]
    fn a_whole_number_may_be_written_as_a_fraction() {
        assert_eq!(read::<i64>(&json!(10.0)).unwrap(), 10);
        assert_eq!(read::<Vec<u8>>(&json!([1.0, 2])).unwrap(), [1, 2]);
        assert_eq!(
            read::<(f64, Value)>(&json!([1.0, 2.0])).unwrap(),
            (1.0, json!(2.0))
        );
        assert!(read::<i64>(&json!(10.5)).is_err());
        assert!(read::<u64>(&json!(-1.0)).is_err());
        assert!(read::<i64>(&json!(1e300)).is_err());
    }

    #[test]
    fn the_forms_of_a_type_keep_their_own_properties() {
        #[derive(JsonSchema)]
        #[serde(tag = "kind")]
        #[expect(dead_code, reason = "only the schema is of interest")]
        enum Either {
            A { a: i64 },
            B { b: i64 },
        }

        let schema = input_schema::<Either>();
        assert_eq!(schema["type"], "object");
        assert!(!schema.contains_key("additionalProperties"));
        let any = input_schema::<JsonObject>();
        assert_eq!(any["additionalProperties"], true);
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
