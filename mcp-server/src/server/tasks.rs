//! Calls that become tasks, and what clients ask of tasks.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use tokio_util::sync::CancellationToken;

use super::answering::{check_scopes, was_cancelled};
use super::outcome;
use super::refusals::quoted;
use super::registry::{RegisteredTool, Selection};
use super::view::{Begun, Occasion, Ran, Round, View, is_stateless};
use crate::ask::{self, InputRequired, Replay, Way};
use crate::auth::Caller;
use crate::error::{Asks as _, Panicked};
use crate::middleware::CallError;
use crate::tasks::{Beginning, Record, TaskRun, unusable};
use crate::types::{
    CallToolResponse, ClientCapabilities, CreateTaskResult, GetTaskResult, InputResponses,
    JsonObject,
};
use crate::version::{Version, Wanted};
use crate::{Context, TaskOptions, Tool, ToolError, ToolResult};

/// A tool at work, apart from the request that called it.
type Work = BoxFuture<'static, Result<ToolResult, ToolError>>;

/// Returns how the call of a tool becomes a task; `None` when it does not.
///
/// # Errors
///
/// The protocol's error for a client that has not declared tasks, when the tool needs them.
pub(super) fn task_options(
    tool: &RegisteredTool,
    request: &RequestContext<RoleServer>,
) -> Result<Option<TaskOptions>, ErrorData> {
    let Some(options) = &tool.details.task else {
        return Ok(None);
    };
    let capabilities = request.client_capabilities();
    if is_stateless(request) && capabilities.is_some_and(|it| it.supports_tasks()) {
        return Ok(Some(options.clone()));
    }
    if options.required {
        let tasks = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(tasks));
    }
    Ok(None)
}

impl View {
    /// Calls a tool whose calls become tasks.
    pub(super) async fn call_for_task(
        &self,
        occasion: &Occasion,
        tool: &RegisteredTool,
        options: TaskOptions,
        begun: Begun<'_>,
        arguments: JsonObject,
    ) -> Result<CallToolResponse, CallError> {
        let Begun {
            cx,
            round,
            owner,
            cancelled,
        } = begun;
        let name = tool.wire.name.to_string();
        let Some(round) = round else {
            return Err(ErrorData::internal_error("tasks are stateless", None).into());
        };
        let kept = if options.resume {
            arguments.clone()
        } else {
            JsonObject::new()
        };
        let session = cx.session_id().map(str::to_owned);
        let mut work = work(&tool.component, cx, arguments);
        let over = round.replay.end_with();
        let gone = cancelled.clone().drop_guard();
        if options.on_demand {
            let ran = tokio::select! {
                biased;
                () = occasion.cancelled().cancelled() => return Err(was_cancelled().into()),
                ran = first_part(&round, &mut work) => ran?,
            };
            match ran {
                Some(Ran::Asks(questions)) => {
                    return Ok(CallToolResponse::InputRequired(questions));
                }
                Some(Ran::Ended(answer)) => {
                    if answer.is_err() {
                        occasion.keep(&round.replay);
                    }
                    return Ok(CallToolResponse::Complete(answer?.into_wire()));
                }
                None => {}
            }
        }
        let beginning = Beginning {
            owner,
            session,
            tool: name.clone(),
            version: tool.version.as_ref().map(ToString::to_string),
            scopes: tool.scopes.clone(),
            arguments: kept,
            known: round.replay.known(),
        };
        let tasks = &self.core.tasks;
        let (run, task) = tasks
            .begin(&self.core.store, beginning, &options, cancelled)
            .await?;
        drop(gone.disarm());
        round.replay.become_task(Arc::clone(&run));
        self.spawn(run, work, over, name);
        Ok(CallToolResponse::Task(CreateTaskResult::new(task.task)))
    }

    /// Lets a tool go on as a task. `over` is dropped after it.
    fn spawn(&self, run: Arc<TaskRun>, work: Work, over: impl Send + 'static, name: String) {
        let core = Arc::clone(&self.core);
        let call = core.count_call();
        tokio::spawn(async move {
            let work = async move {
                let result = ended(work.await, &name)?;
                match serde_json::to_value(result) {
                    Ok(serde_json::Value::Object(result)) => Ok(result),
                    _ => Err(ErrorData::internal_error(
                        "the result has no JSON form",
                        None,
                    )),
                }
            };
            core.tasks.run(&run, work).await;
            drop((over, call));
        });
    }

    /// Tells how a task is. That of a server that has died has failed, or runs again here.
    pub(super) async fn show_task(
        &self,
        id: &str,
        request: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let mut record = self.task_of_caller(id, request).await?;
        let is_orphaned = record.is_orphaned(self.core.store.clock().now());
        if is_orphaned && !self.core.tasks.has(id, &record.runner) {
            record = self.take_over(id, &record, request).await?;
        }
        Ok(GetTaskResult::new(record.to_wire(id)))
    }

    pub(super) async fn answer_task(
        &self,
        id: &str,
        answers: InputResponses,
        request: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.task_of_caller(id, request).await?;
        self.change_task(id, |record| record.learn(answers.clone()))
            .await
    }

    pub(super) async fn end_task(
        &self,
        id: &str,
        request: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.task_of_caller(id, request).await?;
        self.change_task(id, |record| record.cancel = true).await
    }

    /// Changes a task that has not ended, and tells its runner if it is here.
    async fn change_task(
        &self,
        id: &str,
        mut change: impl FnMut(&mut Record) + Send,
    ) -> Result<(), ErrorData> {
        let changed = Record::change(&*self.core.store, id, |record| {
            let goes_on = record.outcome.is_none();
            if goes_on {
                change(record);
            }
            goes_on
        });
        changed.await.map_err(|error| unusable(&error))?;
        self.core.tasks.look(id);
        Ok(())
    }

    /// Finds a task of this caller. That of another is as unknown as one that never was.
    async fn task_of_caller(
        &self,
        id: &str,
        request: &RequestContext<RoleServer>,
    ) -> Result<Record, ErrorData> {
        self.states().await?;
        let record = Record::read(&*self.core.store, id).await;
        let record = record.map_err(|error| unusable(&error))?;
        let caller = self.caller(request);
        let segment = caller.segment();
        let record = record.filter(|record| record.owner == segment);
        let record = record.ok_or_else(|| unknown(id))?;
        check_scopes(&record.tool, &record.scopes, &caller)?;
        Ok(record)
    }

    /// Finds the tool of a task, in the version that it was called in, if `caller` may use it.
    fn tool_of(&self, task: &Record, caller: &Caller) -> Option<Arc<RegisteredTool>> {
        let wanted = match &task.version {
            Some(version) => Some(Wanted::exactly(Version::parse(version).ok()?)),
            None => None,
        };
        let selection = Selection::new(wanted.as_ref(), caller);
        let tool = self.core.registry.tool(&task.tool, selection)?;
        let is_same = tool.version.is_some() == task.version.is_some();
        (is_same && caller.may(&tool.scopes)).then_some(tool)
    }

    async fn take_over(
        &self,
        id: &str,
        dead: &Record,
        request: &RequestContext<RoleServer>,
    ) -> Result<Record, ErrorData> {
        let tool = self.tool_of(dead, &self.caller(request));
        let cancelled = CancellationToken::new();
        let tasks = &self.core.tasks;
        let taken = tasks
            .take_over(&self.core.store, id, tool.is_some(), cancelled.clone())
            .await?;
        let Some((record, run)) = taken else {
            // Another instance was faster, or the task cannot run here.
            return self.task_of_caller(id, request).await;
        };
        if let (Some(run), Some(tool)) = (run, tool) {
            let replay = Replay::new(record.known.clone(), true);
            let over = replay.end_with();
            replay.become_task(Arc::clone(&run));
            let mut setting = self.setting(self.caller(request), request);
            setting.session_id = record.session.as_deref().map(Arc::from);
            setting.cancelled = cancelled;
            let way = Way::Replay(replay);
            let request = Arc::new(request.clone());
            let cx = self.context(&request, self.states().await?, setting, way);
            let work = work(&tool.component, cx, record.arguments.clone());
            self.spawn(run, work, over, record.tool.clone());
        }
        Ok(record)
    }
}

/// Runs a tool until it ends, asks, or wants to be a task.
async fn first_part(
    round: &Round<'_>,
    work: &mut Work,
) -> Result<Option<Ran<Result<ToolResult, ToolError>>>, ErrorData> {
    let step = ask::run(&round.replay, work.as_mut()).await;
    round.after(step).await
}

/// Lets a tool work. A panic is an error to mask.
fn work(tool: &Arc<dyn Tool>, cx: Context, arguments: JsonObject) -> Work {
    let tool = Arc::clone(tool);
    let work = async move { tool.run(cx, arguments).await };
    let work = AssertUnwindSafe(work).catch_unwind();
    Box::pin(work.map(|answer| answer.unwrap_or_else(|_payload| Err(Panicked.into()))))
}

/// Returns what a task has come to: an error is one of the protocol, or of a panic.
fn ended(
    answer: Result<ToolResult, ToolError>,
    name: &str,
) -> Result<crate::types::CallToolResult, ErrorData> {
    if let Err(error) = &answer {
        if error.questions().is_some() {
            return Err(ErrorData::internal_error(InputRequired::IN_TASK, None));
        }
        if let Some(source) = error.source()
            && source.is::<Panicked>()
        {
            let message = format!("Error calling tool {}", quoted(name));
            return Err(ErrorData::internal_error(message, None));
        }
    }
    match answer {
        Ok(result) => Ok(result.into_wire()),
        Err(error) => outcome::of_tool(error.into(), true, name),
    }
}

fn unknown(id: &str) -> ErrorData {
    ErrorData::invalid_params(format!("Unknown task: {}", quoted(id)), None)
}
