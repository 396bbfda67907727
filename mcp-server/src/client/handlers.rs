//! [`Handlers`]: what a client answers and hears.
#![expect(
    deprecated,
    reason = "sampling, roots and logging work until the protocol drops them (SEP-2577)"
)]

use futures_util::future::{BoxFuture, try_join_all};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::{ClientHandler, ErrorData, RoleClient};
use serde_json::Value;

use super::ClientError;
use crate::types::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, Implementation, InputRequest,
    InputRequests, InputResponses, JsonObject, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, RequestMetaObject, Root, TASKS_EXTENSION_ID,
};
use crate::{LogLevel, Progress};

type Answer<Q, A> = Box<dyn Fn(Q) -> BoxFuture<'static, A> + Send + Sync>;
type Hear<T> = Box<dyn Fn(T) + Send + Sync>;

/// A message of a server to its client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogMessage {
    /// How grave it is.
    pub level: LogLevel,
    /// What part of the server says it.
    pub logger: Option<String>,
    /// What it says: text, or any JSON.
    pub data: Value,
}

#[derive(Default)]
pub(super) struct Handlers {
    pub(super) info: Option<Implementation>,
    pub(super) tasks: bool,
    pub(super) level: Option<LogLevel>,
    pub(super) elicit: Option<Answer<ElicitRequestParams, ElicitResult>>,
    pub(super) sample: Option<Answer<CreateMessageRequestParams, CreateMessageResult>>,
    pub(super) roots: Option<Vec<Root>>,
    pub(super) log: Option<Hear<LogMessage>>,
    pub(super) progress: Option<Hear<Progress>>,
}

impl Handlers {
    /// Returns what each call says of itself.
    pub(super) fn meta(&self) -> Option<RequestMetaObject> {
        let mut meta = RequestMetaObject::new();
        meta.set_log_level(self.level?.to_wire());
        Some(meta)
    }

    pub(super) const fn takes_tasks(&self) -> bool {
        self.tasks
    }

    /// Answers questions that came in an answer of the server, all at the same time.
    pub(super) async fn answer_all(
        &self,
        questions: InputRequests,
    ) -> Result<InputResponses, ClientError> {
        let answers = questions.into_iter().map(async |(key, question)| {
            let answer = match question {
                InputRequest::Elicitation(question) => json(&self.elicit(question.params).await?),
                InputRequest::CreateMessage(question) => json(&self.sample(question.params).await?),
                InputRequest::ListRoots(_) => json(&self.list()?),
                _ => Err(undeclared()),
            };
            Ok::<_, ErrorData>((key, answer?))
        });
        let answers = try_join_all(answers).await;
        let answers = answers.map_err(|error| ClientError::Connection(Box::new(error)))?;
        Ok(answers.into_iter().collect())
    }

    async fn elicit(&self, question: ElicitRequestParams) -> Result<ElicitResult, ErrorData> {
        let answer = self.elicit.as_ref().ok_or_else(undeclared)?;
        let defaults = defaults(&question);
        let mut answer = answer(question).await;
        if answer.action == ElicitationAction::Accept && !defaults.is_empty() {
            let mut content = defaults;
            if let Some(Value::Object(given)) = answer.content {
                content.extend(given);
            }
            answer.content = Some(content.into());
        }
        Ok(answer)
    }

    async fn sample(
        &self,
        question: CreateMessageRequestParams,
    ) -> Result<CreateMessageResult, ErrorData> {
        let answer = self.sample.as_ref().ok_or_else(undeclared)?;
        Ok(answer(question).await)
    }

    fn list(&self) -> Result<ListRootsResult, ErrorData> {
        let roots = self.roots.clone().ok_or_else(undeclared)?;
        Ok(ListRootsResult::new(roots))
    }
}

/// Returns the defaults of a form's fields.
fn defaults(question: &ElicitRequestParams) -> JsonObject {
    let ElicitRequestParams::FormElicitationParams {
        requested_schema, ..
    } = question
    else {
        return JsonObject::new();
    };
    let schema = serde_json::to_value(requested_schema).unwrap_or_default();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let defaults = fields.filter_map(|(name, field)| {
        let default = field.get("default")?.clone();
        Some((name.clone(), default))
    });
    defaults.collect()
}

fn json(answer: &impl serde::Serialize) -> Result<Value, ErrorData> {
    serde_json::to_value(answer).map_err(|_error| ErrorData::internal_error("no JSON", None))
}

fn undeclared() -> ErrorData {
    ErrorData::invalid_request(
        "this client has not declared that it can be asked this",
        None,
    )
}

impl ClientHandler for Handlers {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.elicit.is_some() {
            let both = serde_json::json!({ "form": { "applyDefaults": true }, "url": {} });
            capabilities.elicitation = serde_json::from_value(both).ok();
        }
        if self.sample.is_some() {
            let with_tools = serde_json::json!({ "tools": {} });
            capabilities.sampling = serde_json::from_value(with_tools).ok();
        }
        if self.roots.is_some() {
            capabilities.roots = Some(Default::default());
        }
        if self.tasks {
            let extensions = capabilities.extensions.get_or_insert_default();
            extensions.insert(TASKS_EXTENSION_ID.to_owned(), JsonObject::new());
        }
        let named = self.info.clone();
        let info = named.unwrap_or_else(|| {
            Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        });
        ClientConfig::new(capabilities, info)
    }

    async fn create_elicitation(
        &self,
        question: ElicitRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.elicit(question).await
    }

    async fn create_message(
        &self,
        question: CreateMessageRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        self.sample(question).await
    }

    async fn list_roots(
        &self,
        _cx: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        self.list()
    }

    async fn on_progress(
        &self,
        report: ProgressNotificationParam,
        _cx: NotificationContext<RoleClient>,
    ) {
        if let Some(hear) = &self.progress {
            let mut progress = Progress::new(report.progress);
            progress.total = report.total;
            progress.message = report.message;
            hear(progress);
        }
    }

    async fn on_logging_message(
        &self,
        message: LoggingMessageNotificationParam,
        _cx: NotificationContext<RoleClient>,
    ) {
        if let Some(hear) = &self.log {
            hear(LogMessage {
                level: message.level.into(),
                logger: message.logger,
                data: message.data,
            });
        }
    }
}
