//! What middleware sees and does around the messages of clients.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mcp_server::client::{ClientError, ClientMode};
use mcp_server::middleware::{
    Answer, AnyParams, CallError, ListTools, Message, Middleware, Next, Notification, OtherRequest,
    Rejected,
};
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, ContentBlock,
    ErrorCode, ListToolsResult, Tool as WireTool, object,
};
use mcp_server::{
    Client, Context, PromptError, ResourceError, Server, ServerBuilder, ToolError, ToolExt as _,
    prompt, resource, tool,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::http_client::Served;

#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[tool]
async fn fail() -> Result<(), ToolError> {
    Err(ToolError::internal(std::io::Error::other(
        "the disk is full",
    )))
}

#[tool]
async fn note(cx: Context) -> Option<u64> {
    cx.request_state().get::<u64>("note").map(|note| *note)
}

#[tool]
async fn ask(cx: Context) -> Result<String, ToolError> {
    let name = cx.elicit::<String>("Who are you?").await?.accepted();
    Ok(name.unwrap_or_default())
}

#[resource("text://motd")]
fn motd() -> &'static str {
    "Good morning"
}

#[resource("text://{name}")]
fn broken(name: String) -> Result<String, ResourceError> {
    Err(ResourceError::new(format!("{name} is broken")))
}

#[prompt]
fn greet(#[complete("Ada")] name: String) -> Result<String, PromptError> {
    Ok(format!("Greet {name}."))
}

fn builder() -> ServerBuilder {
    Server::builder("Middle")
        .tool(add)
        .tool(fail)
        .tool(note)
        .tool(ask)
        .resource(motd)
        .resource(broken)
        .prompt(greet)
}

/// What has happened, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Writes down each hook that it passes.
struct Hooks(&'static str, Trace);

impl Hooks {
    async fn around<T>(&self, hook: &str, inner: impl Future<Output = T>) -> T {
        self.1.add(format!("{}>{hook}", self.0));
        let answer = inner.await;
        self.1.add(format!("{hook}<{}", self.0));
        answer
    }
}

impl Middleware for Hooks {
    async fn on_message(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        // Called by hand, the default would not nest.
        let method = message.method().to_owned();
        self.around(&method, async {
            match message.params {
                AnyParams::Notification(_) => next.run(message).await,
                _ => self.on_request(message, next).await,
            }
        })
        .await
    }

    async fn on_request(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        self.around("request", next.run(message)).await
    }
}

async fn connect(builder: ServerBuilder) -> Client {
    Client::connect(&builder.build().unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_first_middleware_is_the_outermost_of_all_hooks() {
    let trace = Trace::default();
    let client = connect(
        builder()
            .middleware(Hooks("a", trace.clone()))
            .middleware(Hooks("b", trace.clone())),
    )
    .await;
    trace.take();
    client.list_prompts().await.unwrap();
    assert_eq!(
        trace.take(),
        [
            "a>prompts/list",
            "a>request",
            "b>prompts/list",
            "b>request",
            "request<b",
            "prompts/list<b",
            "request<a",
            "prompts/list<a",
        ]
    );
}

/// Writes down which typed hook a message has come to.
struct Typed(Trace);

macro_rules! typed {
    ($($hook:ident($params:ty) -> $answer:ty;)*) => {
        impl Middleware for Typed {
            $(
                async fn $hook(
                    &self,
                    message: Message<$params>,
                    next: Next,
                ) -> Result<$answer, CallError> {
                    self.0.add(stringify!($hook));
                    next.run(message).await
                }
            )*
        }
    };
}

typed!(
    on_initialize(mcp_server::types::InitializeRequestParams) -> mcp_server::types::InitializeResult;
    on_discover(mcp_server::middleware::Discover) -> mcp_server::types::DiscoverResult;
    on_call_tool(CallToolRequestParams) -> CallToolResponse;
    on_read_resource(mcp_server::types::ReadResourceRequestParams)
        -> mcp_server::types::ReadResourceResponse;
    on_get_prompt(mcp_server::types::GetPromptRequestParams) -> mcp_server::types::GetPromptResponse;
    on_list_tools(ListTools) -> ListToolsResult;
    on_list_resources(mcp_server::middleware::ListResources) -> mcp_server::types::ListResourcesResult;
    on_list_resource_templates(mcp_server::middleware::ListResourceTemplates)
        -> mcp_server::types::ListResourceTemplatesResult;
    on_list_prompts(mcp_server::middleware::ListPrompts) -> mcp_server::types::ListPromptsResult;
    on_notification(Notification) -> ();
);

#[tokio::test]
async fn each_message_comes_once_to_the_hook_of_its_kind() {
    for (mode, opening) in [
        (ClientMode::Auto, &["on_discover"][..]),
        (ClientMode::Handshake, &["on_initialize", "on_notification"]),
    ] {
        let trace = Trace::default();
        let server = builder().middleware(Typed(trace.clone())).build().unwrap();
        let client = Client::builder().mode(mode).connect(&server).await.unwrap();
        client
            .call_tool::<i64>("add", json!({ "a": 1, "b": 2 }))
            .await
            .unwrap();
        client.read_resource("text://motd").await.unwrap();
        client
            .get_prompt("greet", json!({ "name": "Ada" }))
            .await
            .unwrap();
        client.list_tools().await.unwrap();
        client.list_resources().await.unwrap();
        client.list_resource_templates().await.unwrap();
        client.list_prompts().await.unwrap();
        let mut expected = opening.to_vec();
        expected.extend([
            "on_call_tool",
            "on_read_resource",
            "on_get_prompt",
            "on_list_tools",
            "on_list_resources",
            "on_list_resource_templates",
            "on_list_prompts",
        ]);
        let mut seen = trace.take();
        // The notification of the handshake has no order among the requests.
        let last = |hook: &String| expected.iter().position(|it| it == hook);
        seen.sort_by_key(last);
        assert_eq!(seen, expected, "{mode:?}");
    }
}

#[tokio::test]
async fn requests_without_a_hook_pass_as_requests() {
    let trace = Trace::default();
    let seen = trace.clone();
    let client = connect(builder().middleware(move |message: Message, next: Next| {
        let seen = seen.clone();
        async move {
            if let AnyParams::Other(OtherRequest::Complete(_)) = message.params {
                seen.add(message.method());
            }
            next.run(message).await
        }
    }))
    .await;
    let params = json!({
        "ref": { "type": "ref/prompt", "name": "greet" },
        "argument": { "name": "name", "value": "A" },
    });
    let params: CompleteRequestParams = serde_json::from_value(params).unwrap();
    assert_eq!(client.complete(params).await.unwrap().values, ["Ada"]);
    assert_eq!(trace.take(), ["completion/complete"]);
}

/// Changes arguments, answers and lists.
struct Changing;

impl Middleware for Changing {
    async fn on_call_tool(
        &self,
        mut message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        if message.params.name == "plus" {
            message.params.name = "add".into();
        }
        if message.params.name == "now" {
            let answer = CallToolResult::success(vec![ContentBlock::text("noon")]);
            return Ok(CallToolResponse::Complete(answer));
        }
        if message.params.name == "no" {
            return Err(CallError::new(ErrorCode(-32050), "not today"));
        }
        if let Some(arguments) = &mut message.params.arguments {
            arguments.insert("b".to_owned(), json!(40));
        }
        message.cx().request_state().set("note", 7_u64);
        next.run(message).await
    }

    async fn on_list_tools(
        &self,
        message: Message<ListTools>,
        next: Next,
    ) -> Result<ListToolsResult, CallError> {
        let mut list = next.run(message).await?;
        list.tools.push(WireTool::new(
            "now",
            "Tells the time.",
            object(json!({ "type": "object" })),
        ));
        Ok(list)
    }
}

#[tokio::test]
async fn middleware_changes_answers_and_refuses() {
    let client = connect(builder().middleware(Changing)).await;
    let sum: i64 = client
        .call_tool("plus", json!({ "a": 2, "b": 0 }))
        .await
        .unwrap();
    assert_eq!(sum, 42);
    assert_eq!(client.call_tool::<String>("now", ()).await.unwrap(), "noon");
    let refused = client.call_tool::<Value>("no", ()).await.unwrap_err();
    assert_eq!(refused.code(), Some(-32050));
    assert_eq!(client.list_tools().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_tool_finds_what_middleware_has_put_into_the_request_state() {
    let client = connect(builder().middleware(Changing)).await;
    let noted: Option<u64> = client.call_tool("note", ()).await.unwrap();
    assert_eq!(noted, Some(7));
}

#[tokio::test]
async fn middleware_sees_the_error_that_the_client_does_not() {
    let trace = Trace::default();
    let seen = trace.clone();
    let client = connect(builder().middleware(move |message: Message, next: Next| {
        let seen = seen.clone();
        async move {
            let answer = next.run(message).await;
            if let Err(error) = &answer {
                let source = error.source().map(ToString::to_string);
                seen.add(source.or(error.message().map(str::to_owned)).unwrap());
            }
            answer
        }
    }))
    .await;
    let error = client.call_tool::<Value>("fail", ()).await.unwrap_err();
    assert!(matches!(error, ClientError::Tool(text) if text == "Error calling tool 'fail'"));
    let error = client.read_resource("text://vase").await.unwrap_err();
    assert!(error.to_string().contains("vase is broken"), "{error}");
    client.call_tool::<Value>("none", ()).await.unwrap_err();
    assert_eq!(
        trace.take(),
        ["the disk is full", "vase is broken", "Unknown tool: 'none'"]
    );
}

#[tokio::test]
async fn a_panic_of_middleware_is_masked_and_the_next_call_is_answered() {
    let client = connect(builder().middleware(async |message: Message, next: Next| {
        if let AnyParams::ListPrompts(_) = message.params {
            panic!("secret");
        }
        next.run(message).await
    }))
    .await;
    let error = client.list_prompts().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR.0));
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(client.list_tools().await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_answer_to_another_method_is_an_error() {
    let client = connect(builder().middleware(async |message: Message, next: Next| {
        if let AnyParams::ListPrompts(_) = message.params {
            return Ok(Answer::None);
        }
        next.run(message).await
    }))
    .await;
    let error = client.list_prompts().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR.0));
}

#[tokio::test]
async fn a_question_passes_as_an_answer_and_its_answer_as_a_call() {
    let trace = Trace::default();
    let seen = trace.clone();
    let server = builder()
        .middleware(move |message: Message, next: Next| {
            let seen = seen.clone();
            async move {
                let answer = next.run(message).await;
                if let Ok(Answer::CallTool(answer)) = &answer {
                    seen.add(match answer {
                        CallToolResponse::InputRequired(_) => "asks",
                        _ => "answers",
                    });
                }
                answer
            }
        })
        .build()
        .unwrap();
    let asked = Client::builder().elicitation_handler(async |_| {
        mcp_server::types::ElicitResult::new(mcp_server::types::ElicitationAction::Accept)
            .with_content(json!({ "value": "Ada" }))
    });
    let client = asked.connect(&server).await.unwrap();
    let name: String = client.call_tool("ask", ()).await.unwrap();
    assert_eq!(name, "Ada");
    assert_eq!(trace.take(), ["asks", "answers"]);
}

/// Says that it is there.
struct Here(&'static str, Trace);

impl Middleware for Here {
    async fn on_call_tool(
        &self,
        message: Message<CallToolRequestParams>,
        next: Next,
    ) -> Result<CallToolResponse, CallError> {
        self.1.add(self.0);
        next.run(message).await
    }
}

#[tokio::test]
async fn the_middleware_of_a_tool_is_around_its_calls_alone_and_within_that_of_the_server() {
    let trace = Trace::default();
    for server in [true, false] {
        let tool = add
            .renamed("sum")
            .with_middleware(Here("outer", trace.clone()))
            .with_middleware(Here("inner", trace.clone()));
        let mut builder = builder().tool(tool);
        if server {
            builder = builder.middleware(Here("server", trace.clone()));
        }
        let client = connect(builder).await;
        let sum: i64 = client
            .call_tool("sum", json!({ "a": 1, "b": 2 }))
            .await
            .unwrap();
        assert_eq!(sum, 3);
        let mut expected = vec!["server", "outer", "inner"];
        if !server {
            expected.remove(0);
        }
        assert_eq!(trace.take(), expected);
        client
            .call_tool::<i64>("add", json!({ "a": 1, "b": 2 }))
            .await
            .unwrap();
        assert_eq!(trace.take().len(), usize::from(server));
    }
}

/// Fails at first.
#[tool]
async fn unsteady(cx: Context) -> Result<u64, ToolError> {
    let begun = cx
        .once("begun", async {
            BEGUN.fetch_add(1, Ordering::SeqCst);
        })
        .await;
    begun?;
    let state = cx.server_state();
    let tries = state.update("tries", |tries: Option<u64>| tries.unwrap_or(0) + 1);
    match tries.await? {
        3 => Ok(3),
        _ => Err(ToolError::internal(std::io::Error::other("not yet"))),
    }
}

static BEGUN: AtomicUsize = AtomicUsize::new(0);

#[tokio::test]
async fn a_forked_way_is_passed_again_and_work_once_stays_done() {
    let server = builder().tool(unsteady);
    let client = connect(server.middleware(async |message: Message, next: Next| {
        for _ in 0..2 {
            let answer = next.fork().run(message.clone()).await;
            if answer.is_ok() {
                return answer;
            }
        }
        next.run(message).await
    }))
    .await;
    assert_eq!(client.call_tool::<u64>("unsteady", ()).await.unwrap(), 3);
    assert_eq!(BEGUN.load(Ordering::SeqCst), 1);
}

/// Waits until it is told.
#[tool]
async fn wait(cx: Context, signs: mcp_server::State<Signs>) -> &'static str {
    signs.begun.notify_one();
    signs.go.notified().await;
    // Nobody hears it when the call has left.
    cx.info("on").await;
    signs.ended.notify_one();
    "waited"
}

#[derive(Clone, Default)]
struct Signs {
    begun: Arc<Notify>,
    go: Arc<Notify>,
    ended: Arc<Notify>,
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_detached_message_is_answered_although_its_client_has_left() {
    let signs = Signs::default();
    let server = builder().tool(wait).with_state(signs.clone());
    let server = server
        .middleware(async |message: Message, next: Next| {
            if !matches!(message.params, AnyParams::CallTool(_)) {
                return next.run(message).await;
            }
            let working = tokio::spawn(next.run(message.detached()));
            working.await.map_err(CallError::internal)?
        })
        .build()
        .unwrap();
    let served = Served::new(server.into_router().unwrap()).await;
    let params = json!({ "name": "wait", "arguments": {} });
    let call = served.modern_request("tools/call", "wait", params).send();
    let called = tokio::spawn(call);
    timeout(PATIENCE, signs.begun.notified()).await.unwrap();
    called.abort();
    sleep(Duration::from_millis(100)).await;
    signs.go.notify_one();
    timeout(PATIENCE, signs.ended.notified()).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_call_ends_within_middleware_that_waits() {
    let (begun, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (Arc::clone(&begun), Arc::clone(&gone));
    let server = builder().middleware(move |message: Message, next: Next| {
        let (goes, begins) = (Arc::clone(&goes), Arc::clone(&begins));
        async move {
            if !matches!(message.params, AnyParams::CallTool(_)) {
                return next.run(message).await;
            }
            let _gone = Gone(goes);
            begins.notify_one();
            std::future::pending().await
        }
    });
    let client = Arc::new(connect(server).await);
    let calling = Arc::clone(&client);
    let call = tokio::spawn(async move { calling.call_tool::<i64>("add", ()).await });
    timeout(PATIENCE, begun.notified()).await.unwrap();
    call.abort();
    timeout(PATIENCE, gone.notified()).await.unwrap();
}

struct Gone(Arc<Notify>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Notes what is refused, and what passes.
#[derive(Clone, Default)]
struct Doorman(Arc<Mutex<Vec<String>>>);

impl Middleware for Doorman {
    async fn on_message(&self, message: Message, next: Next) -> Result<Answer, CallError> {
        self.0.lock().unwrap().push(message.method().to_owned());
        next.run(message).await
    }

    fn on_rejected(&self, rejected: &Rejected) {
        let method = rejected.mcp_method.as_deref().unwrap_or_default();
        let line = format!("{} {method}", rejected.status.as_u16());
        self.0.lock().unwrap().push(line);
    }
}

#[tokio::test]
async fn what_never_becomes_a_message_is_told_as_rejected_and_nothing_else_is() {
    let doorman = Doorman::default();
    let server = Server::builder("Door").middleware(doorman.clone());
    let router = server.build().unwrap().into_router().unwrap();
    let served = Served::new(router).await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for (request, expected) in [
        (served.post().body("{"), "400 "),
        (
            served
                .post()
                .header("origin", "https://evil.example")
                .json(&ping),
            "403 ",
        ),
        (
            served.post().header("mcp-session-id", "gone").json(&ping),
            "404 ",
        ),
        (
            served.post().header("content-type", "text/plain").body("x"),
            "415 ",
        ),
        (
            served
                .post()
                .header("mcp-method", "x".repeat(100))
                .body("["),
            &format!("400 {}", "x".repeat(64)),
        ),
        (served.get("/mcp"), "400 "),
    ] {
        request.send().await.unwrap();
        let told = std::mem::take(&mut *doorman.0.lock().unwrap());
        assert_eq!(told, [expected]);
    }
    served.get("/other").send().await.unwrap();
    // It is answered with 404, by what is behind the middleware.
    served.modern("no/method", "", json!({})).await;
    served.modern("tools/list", "", json!({})).await;
    assert_eq!(*doorman.0.lock().unwrap(), ["no/method", "tools/list"]);
}
