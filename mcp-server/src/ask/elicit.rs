//! [`Elicit`] and [`ElicitUrl`]: questions to the user.

use std::marker::PhantomData;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{AskError, Needed};
use crate::Context;
use crate::types::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema,
    InputRequest, JsonObject,
};

/// The member that holds an answer which is no object, as a form is always one.
const WRAPPED: &str = "value";

/// What a user made of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Elicited<T> {
    /// The user answered.
    Accepted(T),
    /// The user does not want to say.
    Declined,
    /// The user closed the question.
    Cancelled,
}

impl<T> Elicited<T> {
    /// Returns the answer, if the user gave one.
    #[must_use]
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(answer) => Some(answer),
            Self::Declined | Self::Cancelled => None,
        }
    }
}

/// A question to the user, asked when it is awaited. Made by [`Context::elicit`].
#[must_use = "nothing is asked before it is awaited"]
#[derive(Debug)]
pub struct Elicit<'a, T> {
    cx: &'a Context,
    message: String,
    key: Option<String>,
    schema: Option<JsonObject>,
    answer: PhantomData<fn() -> T>,
}

impl<'a, T> Elicit<'a, T> {
    pub(crate) fn new(cx: &'a Context, message: String) -> Self {
        Self {
            cx,
            message,
            key: None,
            schema: None,
            answer: PhantomData,
        }
    }

    /// Names the question, so that its answer is found again when the call is repeated, even after
    /// others were added or left out before it. Default: its place in the call and what it is.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the form, a JSON Schema of the subset that MCP knows, in place of the one made of `T`.
    pub fn schema(mut self, schema: JsonObject) -> Self {
        self.schema = Some(schema);
        self
    }
}

impl<'a, T: DeserializeOwned + JsonSchema + 'a> IntoFuture for Elicit<'a, T> {
    type Output = Result<Elicited<T>, AskError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let form = match self.schema {
            Some(schema) => Ok((schema, false)),
            None => form_of::<T>(),
        };
        let (cx, message, key) = (self.cx, self.message, self.key);
        async move {
            let (schema, wrapped) = form?;
            let requested_schema =
                ElicitationSchema::from_json_schema(schema).map_err(|error| AskError::NoForm {
                    reason: error.to_string(),
                })?;
            let params = ElicitRequestParams::FormElicitationParams {
                meta: None,
                message,
                requested_schema,
            };
            let request = InputRequest::Elicitation(ElicitRequest::new(params));
            let read = |answer: &Value| {
                let answer: ElicitResult = serde_json::from_value(answer.clone()).ok()?;
                Some(match answer.action {
                    ElicitationAction::Accept => {
                        let mut content = answer.content.unwrap_or_else(|| json!({}));
                        if wrapped {
                            content = content.get_mut(WRAPPED)?.take();
                        }
                        Elicited::Accepted(serde_json::from_value(content).ok()?)
                    }
                    ElicitationAction::Decline => Elicited::Declined,
                    ElicitationAction::Cancel => Elicited::Cancelled,
                    _ => return None,
                })
            };
            cx.asker().ask(key, request, Needed::Form, read).await
        }
        .boxed()
    }
}

/// A page for the user to visit, asked when it is awaited. Made by [`Context::elicit_url`].
#[must_use = "nothing is asked before it is awaited"]
#[derive(Debug)]
pub struct ElicitUrl<'a> {
    cx: &'a Context,
    message: String,
    url: String,
    id: String,
    key: Option<String>,
}

impl<'a> ElicitUrl<'a> {
    pub(crate) fn new(cx: &'a Context, message: String, url: String) -> Self {
        Self {
            cx,
            message,
            id: cx.request_id().to_owned(),
            url,
            key: None,
        }
    }

    /// Names the question; see [`Elicit::key`].
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl<'a> IntoFuture for ElicitUrl<'a> {
    type Output = Result<Elicited<()>, AskError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let by_request = matches!(self.cx.asker().way, super::Way::Request(_));
            let params = ElicitRequestParams::UrlElicitationParams {
                meta: None,
                message: self.message,
                url: self.url,
                // Protocol 2026-07-28 has none.
                elicitation_id: if by_request { self.id } else { String::new() },
            };
            let request = InputRequest::Elicitation(ElicitRequest::new(params));
            let read = |answer: &Value| {
                let answer: ElicitResult = serde_json::from_value(answer.clone()).ok()?;
                Some(match answer.action {
                    ElicitationAction::Accept => Elicited::Accepted(()),
                    ElicitationAction::Decline => Elicited::Declined,
                    ElicitationAction::Cancel => Elicited::Cancelled,
                    _ => return None,
                })
            };
            self.cx
                .asker()
                .ask(self.key, request, Needed::Url, read)
                .await
        }
        .boxed()
    }
}

/// Returns the form for a `T`, and whether it holds the answer as a member.
fn form_of<T: JsonSchema>() -> Result<(JsonObject, bool), AskError> {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else {
        let reason = "it can be anything".to_owned();
        return Err(AskError::NoForm { reason });
    };
    let title = schema.remove("title");
    schema.remove("$schema");
    let wrapped = schema.get("type").is_none_or(|kind| kind != "object");
    if wrapped {
        if let Some(title) = title {
            schema.entry("title").or_insert(title);
        }
        simplify(&mut schema);
        let form =
            json!({"type": "object", "properties": {WRAPPED: schema}, "required": [WRAPPED]});
        let Value::Object(form) = form else {
            return Err(AskError::InvalidAnswer);
        };
        return Ok((form, true));
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            if let Value::Object(property) = property {
                simplify(property);
            }
        }
    }
    schema.retain(|member, _| {
        ["type", "properties", "required", "description"].contains(&member.as_str())
    });
    Ok((schema, false))
}

/// Brings the schema of one field into MCP's subset: no `null`, and choices with titles by `oneOf`.
fn simplify(field: &mut JsonObject) {
    if let Some(Value::Array(kinds)) = field.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            let kind = kind.clone();
            field.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(choices)) = field.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    let Some(Value::Array(choices)) = field.get_mut("oneOf") else {
        return;
    };
    let mut titled = Vec::new();
    for choice in choices.iter() {
        let Some(constant) = choice.get("const") else {
            return;
        };
        let title = choice.get("title").or_else(|| choice.get("description"));
        titled.push(json!({"const": constant, "title": title.unwrap_or(constant)}));
    }
    *choices = titled;
    field.insert("type".to_owned(), json!("string"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    struct Profile {
        /// What to call you
        name: String,
        #[schemars(range(min = 0, max = 150))]
        age: Option<u8>,
        newsletter: bool,
        plan: Plan,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is of interest")]
    enum Plan {
        /// Costs nothing
        Free,
        /// Costs something
        Paid,
    }

    #[test]
    fn a_struct_becomes_a_form_that_mcp_knows() {
        let (form, wrapped) = form_of::<Profile>().unwrap();
        assert!(!wrapped);
        let form = ElicitationSchema::from_json_schema(form).unwrap();
        let form = serde_json::to_value(form).unwrap();
        assert_eq!(form["required"], json!(["name", "newsletter", "plan"]));
        assert_eq!(
            form["properties"]["name"]["description"],
            "What to call you"
        );
        assert_eq!(form["properties"]["age"]["type"], "integer");
        let choices = &form["properties"]["plan"]["oneOf"];
        assert_eq!(
            choices[0],
            json!({"const": "Free", "title": "Costs nothing"})
        );
    }

    #[test]
    fn what_is_no_object_is_a_form_of_one_field() {
        let (form, wrapped) = form_of::<i64>().unwrap();
        assert!(wrapped);
        ElicitationSchema::from_json_schema(form).unwrap();
        let (form, _) = form_of::<Vec<Vec<String>>>().unwrap();
        ElicitationSchema::from_json_schema(form).unwrap_err();
    }
}
