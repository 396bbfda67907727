//! Saying what is wrong with the arguments of a call, all at once and without their values.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::coercion::kinds;
use crate::types::JsonObject;

/// How many problems a message names.
const MAX_PROBLEMS: usize = 10;

/// How many problems are looked at, of which a message names the first.
const MAX_LOOKED_AT: usize = 1000;

/// How many characters of a client's names, or of what a schema asks for, a message repeats.
const MAX_REPEATED: usize = 100;

/// What is said of arguments that are too many to look at all that is wrong with them.
pub(super) const TOO_HEAVY: &str =
    "the arguments do not fit the input schema, and are too large to say where";

/// Says what is wrong: a line for each problem, of at most [`MAX_PROBLEMS`].
pub(super) fn complaint<'a>(
    errors: impl Iterator<Item = ValidationError<'a>>,
    schema: &JsonObject,
) -> String {
    let mut problems = Vec::new();
    for error in errors.take(MAX_LOOKED_AT) {
        collect(&error, schema, &mut problems);
    }
    problems.sort();
    problems.dedup();
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    let mut lines: Vec<_> = problems.into_iter().map(|problem| problem.line).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// A line of a complaint. They come by argument, what is unknown last.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    is_unknown: bool,
    place: String,
    line: String,
}

fn collect(error: &ValidationError<'_>, schema: &JsonObject, problems: &mut Vec<Problem>) {
    if let Some(branch) = meant(error) {
        for error in branch {
            collect(error, schema, problems);
        }
        return;
    }
    let place = place(error);
    let (is_unknown, place, line) = match error.kind() {
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            if place.is_empty() {
                (false, name.to_owned(), missing(name, schema))
            } else {
                let line = format!("argument `{place}`: missing member `{name}`");
                (false, place, line)
            }
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let line = unknown(&place, unexpected, schema);
            (place.is_empty(), place, line)
        }
        _ if place.is_empty() => (false, place, format!("the arguments: {}", reason(error))),
        _ => {
            let line = format!("argument `{place}`: {}", reason(error));
            (false, place, line)
        }
    };
    problems.push(Problem {
        is_unknown,
        place,
        line,
    });
}

/// Returns what is wrong with the one of several forms that a value was meant to have: the only one
/// that is of the value's type, and of its kind where a member names that.
fn meant<'e>(error: &'e ValidationError<'_>) -> Option<&'e [ValidationError<'static>]> {
    let (ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context }) =
        error.kind()
    else {
        return None;
    };
    let is_other = |other: &ValidationError<'_>| match other.kind() {
        ValidationErrorKind::Type { .. } => other.instance_path() == error.instance_path(),
        ValidationErrorKind::Constant { .. } => true,
        _ => false,
    };
    let mut close = context.iter().filter(|branch| !branch.iter().any(is_other));
    let first = close.next()?;
    close.next().is_none().then_some(first)
}

/// Says what is wrong with a value, without the value.
fn reason(error: &ValidationError<'_>) -> String {
    let value = error.instance();
    match error.kind() {
        ValidationErrorKind::Type { kind } => expected(&names(kind), value),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match simple(error, context) {
                Some(forms) => expected(&forms, value),
                None => "it has none of the forms that it may have".to_owned(),
            }
        }
        ValidationErrorKind::Constant { expected_value } => {
            shortened(&format!("expected {expected_value}"))
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map_or(&[][..], Vec::as_slice);
            let options: Vec<_> = options.iter().map(ToString::to_string).collect();
            format!("expected {}", alternatives(&options))
        }
        ValidationErrorKind::PropertyNames { error } => {
            format!("the name of a member: {}", reason(error))
        }
        _ => shortened(&error.masked_with("it").to_string()),
    }
}

/// Returns the types and constants that `context` offers, when it offers nothing else.
fn simple(
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
) -> Option<Vec<String>> {
    let mut forms = Vec::new();
    for other in context.iter().flatten() {
        if other.instance_path() != error.instance_path() {
            return None;
        }
        match other.kind() {
            ValidationErrorKind::Type { kind } => forms.extend(names(kind)),
            ValidationErrorKind::Constant { expected_value } => {
                forms.push(expected_value.to_string());
            }
            ValidationErrorKind::Enum { options } => {
                forms.extend(options.as_array()?.iter().map(ToString::to_string));
            }
            _ => return None,
        }
    }
    forms.dedup();
    Some(forms)
}

fn expected(forms: &[String], value: &Value) -> String {
    let found = match value {
        Value::Number(number) if number.is_f64() => JsonType::Number,
        Value::Number(_) => JsonType::Integer,
        Value::Null => JsonType::Null,
        Value::Bool(_) => JsonType::Boolean,
        Value::String(_) => JsonType::String,
        Value::Array(_) => JsonType::Array,
        Value::Object(_) => JsonType::Object,
    };
    let forms = alternatives(forms);
    // A text of another wording is no less a text.
    if forms.contains('"') {
        return format!("expected {forms}");
    }
    format!("expected {forms}, got {found}")
}

/// Names the types that are asked for, null last.
fn names(kind: &TypeKind) -> Vec<String> {
    kinds(kind).iter().rev().map(ToString::to_string).collect()
}

/// Lists what may stand in one place.
fn alternatives(forms: &[String]) -> String {
    shortened(&forms.join(" or "))
}

fn missing(name: &str, schema: &JsonObject) -> String {
    match kind_of(schema, name) {
        Some(kind) => format!("missing argument `{name}` ({kind})"),
        None => format!("missing argument `{name}`"),
    }
}

fn unknown(place: &str, names: &[String], schema: &JsonObject) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let listed: Vec<_> = names
        .iter()
        .map(|name| format!("`{}`", name.escape_debug()))
        .collect();
    let listed = shortened(&listed.join(", "));
    if !place.is_empty() {
        return format!("argument `{place}`: unknown member{plural} {listed}");
    }
    let known = schema.get("properties").and_then(Value::as_object);
    let known: Vec<_> = known.into_iter().flat_map(JsonObject::keys).collect();
    let known: Vec<_> = known.into_iter().map(String::as_str).collect();
    if known.is_empty() {
        return format!("unknown argument{plural} {listed}; there are none");
    }
    format!(
        "unknown argument{plural} {listed}; known: {}",
        known.join(", ")
    )
}

/// Returns where the value is that is wrong, as `user.emails[0]`; empty for all arguments.
fn place(error: &ValidationError<'_>) -> String {
    let mut place = String::new();
    for segment in error.instance_path().segments() {
        match segment {
            LocationSegment::Property(name) => {
                if !place.is_empty() {
                    place.push('.');
                }
                place.extend(name.escape_debug());
            }
            LocationSegment::Index(index) => place.push_str(&format!("[{index}]")),
        }
    }
    shortened(&place)
}

/// Returns `text`, cut to [`MAX_REPEATED`].
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_REPEATED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns what kind of JSON the argument `name` is, where its schema says so.
pub(crate) fn kind_of(schema: &JsonObject, name: &str) -> Option<String> {
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
