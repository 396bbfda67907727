//! [`Schema`]: checking the arguments of a call against a tool's input schema.

use std::collections::BTreeMap;

use jsonschema::paths::LocationSegment;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use super::coercion::{coerced, wanted};
use super::problems;
use crate::types::JsonObject;

/// How often values are taken for those of other types: what was a text of JSON may hold more.
const ROUNDS: usize = 3;

/// How heavy arguments may be for all that is wrong with them to be found. What is found holds
/// copies of the values around it.
const MAX_WEIGHT: usize = 4 * 1024 * 1024;

/// What each value weighs, beside its text.
const VALUE_WEIGHT: usize = 64;

/// The input schema of a tool, ready to check arguments.
pub(super) struct Schema {
    validator: Validator,
    schema: JsonObject,
    strict: bool,
}

impl Schema {
    /// Prepares `schema`. Patterns are matched in time linear to the text, so that they have no
    /// lookaround and no backreferences; references lead nowhere but into the schema itself.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the schema.
    pub(super) fn compile(schema: &JsonObject, strict: bool) -> Result<Self, String> {
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(&Value::Object(schema.clone()))
            .map_err(|error| format!("the input schema is invalid: {error}"))?;
        Ok(Self {
            validator,
            schema: schema.clone(),
            strict,
        })
    }

    /// Returns `arguments` as the tool takes them.
    ///
    /// # Errors
    ///
    /// Names all arguments that do not fit, without their values.
    pub(super) fn check(&self, arguments: JsonObject) -> Result<JsonObject, String> {
        let mut arguments = Value::Object(arguments);
        for _ in 0..=ROUNDS {
            if self.validator.is_valid(&arguments) {
                return Ok(members(arguments));
            }
            if weight(&arguments, 1) > MAX_WEIGHT {
                return Err(problems::TOO_HEAVY.to_owned());
            }
            if self.strict || !self.coerce(&mut arguments) {
                break;
            }
        }
        let errors = self.validator.iter_errors(&arguments);
        Err(problems::complaint(errors, &self.schema))
    }

    /// Checks `value` as the argument `name`, whatever the others are.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub(super) fn check_one(&self, name: &str, value: &Value) -> Result<(), String> {
        let arguments = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
        let inside = |error: &ValidationError<'_>| {
            let place = error.instance_path().segments().next();
            matches!(place, Some(LocationSegment::Property(first)) if first == name)
        };
        let errors = self.validator.iter_errors(&arguments).filter(inside);
        match problems::complaint(errors, &self.schema) {
            none if none.is_empty() => Ok(()),
            complaint => Err(complaint),
        }
    }

    /// Takes values for those of other types; tells whether it did.
    fn coerce(&self, arguments: &mut Value) -> bool {
        let mut places = BTreeMap::new();
        for error in self.validator.iter_errors(arguments) {
            wanted(&error, &mut places);
        }
        let mut changed = false;
        for (place, types) in places {
            let value = arguments.pointer_mut(&place);
            if let Some(value) = value
                && let Some(other) = coerced(value, types)
            {
                *value = other;
                changed = true;
            }
        }
        changed
    }
}

fn members(arguments: Value) -> JsonObject {
    match arguments {
        Value::Object(members) => members,
        _ => JsonObject::new(),
    }
}

/// Returns how much of `value` could be copied if all of it, which is `depth` deep, were wrong.
fn weight(value: &Value, depth: usize) -> usize {
    let below = |value| weight(value, depth + 1);
    let inside: usize = match value {
        Value::String(text) => depth * text.len(),
        Value::Array(items) => items.iter().map(below).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| depth * name.len() + below(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    inside + depth * VALUE_WEIGHT
}

#[cfg(test)]
mod tests;
