//! [`Adapter`]: the one place where rmcp's protocol layer meets this server.
#![expect(
    deprecated,
    reason = "logging works until the protocol drops it (SEP-2577)"
)]

use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;

use super::core::Core;
use crate::ask::{self, Asker, Chain, Known, Replay, Way};
use crate::auth::{Caller, Principal};
use crate::context::{Call, Listener};
use crate::error::{Asks, chain};
use crate::state::RequestState;
use crate::transport::{Connection, SessionMark};
use crate::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CustomRequest, CustomResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
    Implementation, InputRequiredResult, InputResponses, JsonObject, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, SetLevelRequestParams, Tool as WireTool,
};
use crate::{Context, LogLevel};

/// The methods that rmcp hands over as unknown when their parameters are malformed.
const KNOWN_METHODS: [&str; 15] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tools/call",
    "tools/list",
];

/// How many characters of a client's name for something are repeated to it.
const MAX_QUOTED: usize = 200;

/// One connection's view of the server, as rmcp wants it.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    core: Arc<Core>,
    connection: Connection,
    /// The least grave message that the client of a session wants to hear.
    level: Arc<Mutex<LogLevel>>,
}

impl Adapter {
    pub(crate) fn new(core: Arc<Core>, connection: Connection) -> Self {
        Self {
            core,
            connection,
            level: Arc::new(Mutex::new(LogLevel::Info)),
        }
    }

    /// Begins a call: collects what its component may know, and what the calls before it, that this
    /// one answers questions of, have left.
    async fn begin<'a>(
        &'a self,
        request: &RequestContext<RoleServer>,
        call: Asked<'_>,
    ) -> Result<Begun<'a>, ErrorData> {
        let states = self.core.start().await.map_err(|error| {
            tracing::error!(error = %chain(&error), "the server cannot start");
            ErrorData::internal_error("the server cannot start", None)
        })?;
        let principal = request
            .extensions
            .get::<Parts>()
            .and_then(|parts| parts.extensions.get::<Principal>())
            .cloned();
        let (session_id, local) = match &self.connection {
            Connection::Single { session } => (Some(Arc::clone(session)), true),
            Connection::Http { local } => {
                let session = request.extensions.get::<SessionMark>();
                (session.map(|mark| Arc::clone(&mark.0)), *local)
            }
        };
        let caller = match principal {
            Some(principal) => Caller::Authenticated(principal),
            None if local => Caller::Local,
            None => Caller::Anonymous,
        };
        let is_stateless = request
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let (way, round, level) = if is_stateless {
            let round = self.round(&caller, call).await?;
            let way = Way::Replay(Arc::clone(&round.replay));
            (way, Some(round), request.meta.log_level().map(Into::into))
        } else {
            (Way::Request(request.peer.clone()), None, Some(self.level()))
        };
        let cx = Context::new(Call {
            store: Arc::clone(&self.core.store),
            states,
            request_id: request.id.to_string(),
            session_id,
            caller,
            shared_anonymous_state: self.core.shared_anonymous_state,
            client: request.client_info(),
            cancelled: request.ct.clone(),
            request_state: RequestState::default(),
            listener: Listener {
                peer: Some(request.peer.clone()),
                level,
                progress: request.meta.get_progress_token(),
            },
            asker: Asker {
                way,
                capabilities: request.client_capabilities().unwrap_or_default(),
            },
        });
        Ok(Begun { cx, round })
    }

    /// Takes up a call where its client was asked.
    async fn round(&self, caller: &Caller, call: Asked<'_>) -> Result<Round<'_>, ErrorData> {
        let caller = match caller {
            Caller::Authenticated(principal) => principal.segment(),
            Caller::Local => "local".to_owned(),
            Caller::Anonymous => "anonymous".to_owned(),
        };
        let chain = Chain::new(&self.core, &caller, call.method, call.name, call.arguments);
        let mut known = Known::default();
        if let Some(state) = call.state {
            let found = chain
                .resume(&state)
                .await
                .map_err(|error| unusable(&error))?;
            known = found.ok_or_else(|| {
                let message = "the requestState is not that of this call, or is older than 10 \
                               minutes; make the call again without it";
                ErrorData::invalid_params(message, None)
            })?;
            known.learn(call.responses.unwrap_or_default());
        }
        let replay = Replay::new(known);
        Ok(Round { chain, replay })
    }

    fn level(&self) -> LogLevel {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client asks for, as far as it says whether two calls are the same.
struct Asked<'a> {
    method: &'static str,
    name: &'a str,
    arguments: Option<&'a JsonObject>,
    responses: Option<InputResponses>,
    state: Option<String>,
}

/// A call that has begun.
struct Begun<'a> {
    cx: Context,
    round: Option<Round<'a>>,
}

/// One of the times that a call on a stateless connection is made until its questions are answered.
struct Round<'a> {
    chain: Chain<'a>,
    replay: Arc<Replay>,
}

/// What became of a component.
enum Ran<T> {
    Ended(T),
    /// Its client is asked.
    Asks(InputRequiredResult),
}

impl ServerHandler for Adapter {
    fn get_info(&self) -> ServerConfig {
        let details = &self.core.details;
        let mut implementation = Implementation::new(&details.name, &details.version);
        implementation.title.clone_from(&details.title);
        implementation.website_url.clone_from(&details.website_url);
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_logging()
            .build();
        let mut info = ServerConfig::new(capabilities).with_server_info(implementation);
        info.instructions.clone_from(&details.instructions);
        info
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _request: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(ListToolsResult::with_all_items(
            self.core.registry.list_tools(),
        ))
    }

    fn get_tool(&self, name: &str) -> Option<WireTool> {
        self.core
            .registry
            .tool(name)
            .map(|entry| entry.wire.clone())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = self.core.registry.tool(&params.name) else {
            let message = format!("Unknown tool: {}", quoted(&params.name));
            return Err(ErrorData::invalid_params(message, None));
        };
        let _call = self.core.count_call();
        let asked = Asked {
            method: "tools/call",
            name: &params.name,
            arguments: params.arguments.as_ref(),
            responses: params.input_responses,
            state: params.request_state,
        };
        let Begun { cx, round } = self.begin(&request, asked).await?;
        let arguments = params.arguments.unwrap_or_default();
        let answer = match guarded(&request, round, entry.component.run(cx, arguments)).await? {
            Ran::Ended(answer) => answer,
            Ran::Asks(questions) => return Ok(CallToolResponse::InputRequired(questions)),
        };
        let result = match answer {
            Ok(result) => result.into_wire(),
            Err(error) => {
                refuse_unable(&request, error.missing_capabilities())?;
                let text = report(
                    error.message(),
                    error.source(),
                    "calling tool",
                    &params.name,
                );
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        };
        Ok(CallToolResponse::Complete(result))
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        _request: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(ListResourcesResult::with_all_items(
            self.core.registry.list_resources(),
        ))
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        _request: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(ListResourceTemplatesResult::with_all_items(
            self.core.registry.list_templates(),
        ))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Some((resource, asked)) = self.core.registry.resource(&params.uri) else {
            let data = json!({ "uri": params.uri });
            let message = format!("Unknown resource: {}", quoted(&params.uri));
            return Err(ErrorData::resource_not_found(message, Some(data)));
        };
        let _call = self.core.count_call();
        let call = Asked {
            method: "resources/read",
            name: &params.uri,
            arguments: None,
            responses: params.input_responses,
            state: params.request_state,
        };
        let Begun { cx, round } = self.begin(&request, call).await?;
        match guarded(&request, round, resource.read(cx, asked)).await? {
            Ran::Asks(questions) => Ok(ReadResourceResponse::InputRequired(questions)),
            Ran::Ended(Ok(result)) => Ok(ReadResourceResponse::Complete(result.into_wire())),
            Ran::Ended(Err(error)) => {
                refuse_unable(&request, error.missing_capabilities())?;
                Err(rejection(
                    error.is_invalid_arguments(),
                    report(
                        error.message(),
                        error.source(),
                        "reading resource",
                        &params.uri,
                    ),
                ))
            }
        }
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        _request: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        refuse_cursor(page)?;
        Ok(ListPromptsResult::with_all_items(
            self.core.registry.list_prompts(),
        ))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let Some(entry) = self.core.registry.prompt(&params.name) else {
            let message = format!("Unknown prompt: {}", quoted(&params.name));
            return Err(ErrorData::invalid_params(message, None));
        };
        let _call = self.core.count_call();
        let asked = Asked {
            method: "prompts/get",
            name: &params.name,
            arguments: params.arguments.as_ref(),
            responses: params.input_responses,
            state: params.request_state,
        };
        let Begun { cx, round } = self.begin(&request, asked).await?;
        let arguments = params.arguments.unwrap_or_default();
        match guarded(&request, round, entry.component.render(cx, arguments)).await? {
            Ran::Asks(questions) => Ok(GetPromptResponse::InputRequired(questions)),
            Ran::Ended(Ok(result)) => Ok(GetPromptResponse::Complete(
                result.into_wire(entry.wire.description.as_deref()),
            )),
            Ran::Ended(Err(error)) => {
                refuse_unable(&request, error.missing_capabilities())?;
                Err(rejection(
                    error.is_invalid_arguments(),
                    report(
                        error.message(),
                        error.source(),
                        "rendering prompt",
                        &params.name,
                    ),
                ))
            }
        }
    }

    async fn set_level(
        &self,
        params: SetLevelRequestParams,
        _request: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = params.level.into();
        Ok(())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let method = request.method;
        if KNOWN_METHODS.contains(&method.as_str()) {
            let message = format!("the parameters of {method} are missing or malformed");
            return Err(ErrorData::invalid_params(message, None));
        }
        Err(ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            quoted(&method),
            None,
        ))
    }
}

/// Refuses a cursor: every list is one page, so this server has handed out none.
fn refuse_cursor(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    match page.and_then(|page| page.cursor) {
        None => Ok(()),
        Some(_) => Err(ErrorData::invalid_params(
            "the cursor is not one of this server's",
            None,
        )),
    }
}

/// Runs a component until it answers, has questions for its client, or the client cancels the call.
/// A panic is an error to mask.
async fn guarded<T, E: From<Panicked> + Asks>(
    request: &RequestContext<RoleServer>,
    round: Option<Round<'_>>,
    answer: BoxFuture<'_, Result<T, E>>,
) -> Result<Ran<Result<T, E>>, ErrorData> {
    let answer = AssertUnwindSafe(answer)
        .catch_unwind()
        .map(|answer| answer.unwrap_or_else(|_payload| Err(Panicked.into())));
    let ran = async {
        let Some(Round { chain, replay }) = round else {
            return Ok(Ran::Ended(answer.await));
        };
        let (requests, known) = match ask::run(&replay, answer).await {
            Ok(answer) => match answer.as_ref().err().and_then(Asks::questions) {
                Some(by_hand) => replay.end_by_hand(by_hand),
                None => return Ok(Ran::Ended(answer)),
            },
            Err(questions) => questions,
        };
        let questions = chain.suspend(requests, known).await;
        questions.map(Ran::Asks).map_err(|error| unusable(&error))
    };
    tokio::select! {
        biased;
        () = request.ct.cancelled() => {
            Err(ErrorData::internal_error("the request was cancelled", None))
        }
        ran = ran => ran,
    }
}

/// The error of a call whose state cannot be kept or read, which is the server's fault.
fn unusable(error: &crate::Error) -> ErrorData {
    tracing::error!(error = %chain(error), "the state of a call cannot be kept");
    ErrorData::internal_error("the state of the call cannot be kept", None)
}

/// Refuses a call that failed because its client, on a stateless connection, has not declared what
/// the component needs.
fn refuse_unable(
    request: &RequestContext<RoleServer>,
    missing: Option<&ClientCapabilities>,
) -> Result<(), ErrorData> {
    let is_stateless = request
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    match missing {
        Some(required) if is_stateless => Err(ErrorData::missing_required_client_capability(
            required.clone(),
        )),
        _ => Ok(()),
    }
}

/// A component panicked. The panic hook has printed where and why.
#[derive(Debug, thiserror::Error)]
#[error("it panicked")]
struct Panicked;

/// Returns what the client reads of a failed component: the message meant for it, or that it
/// failed. In the latter case the reason is logged.
fn report(
    message: Option<&str>,
    source: Option<&(dyn StdError + Send + Sync + 'static)>,
    doing: &str,
    name: &str,
) -> String {
    if let Some(message) = message {
        return message.to_owned();
    }
    let masked = format!("Error {doing} {}", quoted(name));
    let reason = source.map_or_else(String::new, |source| chain(source));
    tracing::error!(reason, "{masked}");
    masked
}

/// Makes the JSON-RPC error of a failed resource or prompt.
fn rejection(invalid_arguments: bool, message: String) -> ErrorData {
    if invalid_arguments {
        ErrorData::invalid_params(message, None)
    } else {
        ErrorData::internal_error(message, None)
    }
}

/// Quotes a name that a client sent: cut to a length fit for a message, control characters escaped.
fn quoted(name: &str) -> String {
    let mut short: String = name.chars().take(MAX_QUOTED).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    format!("'{}'", short.escape_debug())
}
