//! Calls that become tasks: on one server, on several over one store, and when a server dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kv_core::ManualClock;
use kv_memory::MemoryStore;
use mcp_server::client::{Client, ClientBuilder, ClientError, ClientMode};
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, DetailedTask, ElicitResult, ElicitationAction,
    ErrorCode, InputResponses, TaskPayload, TaskStatus,
};
use mcp_server::{Context, Progress, Server, ServerBuilder, State, ToolError, tool};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

#[tool(task)]
async fn greet(name: String) -> String {
    format!("Hello, {name}!")
}

#[tool(task(required))]
async fn fail() -> Result<(), ToolError> {
    Err(ToolError::new("it failed"))
}

#[tool(task)]
async fn panic() {
    panic!("at once")
}

/// Works until it is cancelled.
#[tool(task)]
async fn work(cx: Context, runs: State<Runs>) -> String {
    let gone = cx.cancellation_token().clone();
    let runs = runs.clone();
    tokio::spawn(async move {
        gone.cancelled().await;
        runs.count();
    });
    cx.report_progress(Progress::new(1.0).message("at work"))
        .await;
    std::future::pending().await
}

/// Asks two questions at once.
#[tool(task)]
async fn ask(cx: Context) -> Result<Value, ToolError> {
    let (a, b) = tokio::join!(
        cx.elicit::<String>("a?").key("a"),
        cx.elicit::<i64>("b?").key("b"),
    );
    Ok(json!([a?.accepted(), b?.accepted()]))
}

/// Asks, and goes on without an answer.
#[tool(task)]
async fn ask_in_vain(cx: Context) -> String {
    let question = cx.elicit::<String>("a?");
    let short = Duration::from_millis(50);
    let answer = timeout(short, question.into_future()).await;
    assert!(answer.is_err());
    std::future::pending().await
}

/// Asks before it becomes a task, and after.
#[tool(task(on_demand, required))]
async fn copy(cx: Context, runs: State<Runs>) -> Result<Value, ToolError> {
    let before = cx.elicit::<String>("From?").await?.accepted();
    assert_eq!(cx.task_id(), None);
    cx.continue_as_task().await;
    runs.count();
    assert!(cx.task_id().is_some());
    let after = cx.elicit::<String>("To?").await?.accepted();
    Ok(json!([before, after]))
}

#[tool(task(on_demand))]
async fn never_a_task() -> i64 {
    7
}

/// Is done when its third run is.
#[tool(task(resume))]
async fn persist(cx: Context, runs: State<Runs>, word: String) -> Result<String, ToolError> {
    let once = cx.once("once", async { runs.count() }).await?;
    let answer = cx.elicit::<String>("Go on?").key("on").await?;
    let run = runs.count();
    if run < 3 {
        std::future::pending::<()>().await;
    }
    Ok(format!("{word} {once} {:?}", answer.accepted()))
}

#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn builder(runs: &Runs) -> ServerBuilder {
    Server::builder("Tasks")
        .with_state(runs.clone())
        .tool(greet)
        .tool(fail)
        .tool(panic)
        .tool(work)
        .tool(ask)
        .tool(ask_in_vain)
        .tool(copy)
        .tool(never_a_task)
        .tool(persist)
}

fn user() -> ClientBuilder {
    Client::builder()
        .tasks()
        .elicitation_handler(async |_| panic!("a task asks by its own"))
}

async fn connect(runs: &Runs) -> Client {
    let server = builder(runs).build().unwrap();
    user().connect(&server).await.unwrap()
}

async fn connect_over(store: &MemoryStore, runs: &Runs) -> Client {
    let server = builder(runs).storage(store.clone()).build().unwrap();
    user().connect(&server).await.unwrap()
}

/// Calls a tool, and returns the id of the task.
async fn start(client: &Client, tool: &'static str, arguments: Value) -> String {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = serde_json::from_value(arguments).unwrap();
    match client.call_tool_once(params).await.unwrap() {
        CallToolResponse::Task(task) => task.task.task_id,
        other => panic!("{other:?}"),
    }
}

/// Asks for a task until it is as wanted.
async fn until(client: &Client, id: &str, wanted: TaskStatus) -> DetailedTask {
    let polls = async {
        loop {
            let task = client.get_task(id).await.unwrap();
            if task.status() == wanted {
                return task;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), polls).await.unwrap()
}

async fn result(client: &Client, id: &str) -> Value {
    let task = until(client, id, TaskStatus::Completed).await;
    let TaskPayload::Completed { result } = task.payload else {
        panic!("{task:?}")
    };
    Value::Object(result)
}

fn open_questions(task: &DetailedTask) -> Vec<String> {
    match &task.payload {
        TaskPayload::InputRequired { input_requests } => input_requests.keys().cloned().collect(),
        other => panic!("{other:?}"),
    }
}

fn answers<const N: usize>(answers: [(&str, Value); N]) -> InputResponses {
    let accept = |value| {
        let answer = ElicitResult::new(ElicitationAction::Accept);
        serde_json::to_value(answer.with_content(json!({ "value": value }))).unwrap()
    };
    let answers = answers.into_iter();
    answers
        .map(|(key, value)| (key.to_owned(), accept(value)))
        .collect()
}

#[tokio::test]
async fn a_task_is_there_at_once_and_ends_with_the_result_of_the_call() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "greet", json!({ "name": "Ada" })).await;
    let task = client.get_task(&id).await.unwrap().task;
    assert_eq!(task.ttl_ms, Some(3_600_000));
    assert_eq!(task.poll_interval_ms, Some(1000));
    let result = result(&client, &id).await;
    assert_eq!(result["structuredContent"]["result"], "Hello, Ada!");
    assert_eq!(result["content"][0]["text"], "Hello, Ada!");
}

#[tokio::test]
async fn a_client_without_tasks_waits_for_the_answer_or_is_refused() {
    let server = builder(&Runs::default()).build().unwrap();
    for user in [
        Client::builder(),
        Client::builder().mode(ClientMode::Handshake).tasks(),
    ] {
        let client = user.connect(&server).await.unwrap();
        let answer = client
            .call_tool_result("greet", json!({ "name": "Ada" }))
            .await;
        let answer = answer.unwrap().structured_content.unwrap();
        assert_eq!(answer["result"], "Hello, Ada!");
        let error = client
            .call_tool_result("fail", Value::Null)
            .await
            .unwrap_err();
        let lacks = ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY.0;
        assert_eq!(error.code(), Some(lacks));
        let ClientError::Refused { data, .. } = error else {
            panic!("{error:?}")
        };
        let required = &data.unwrap()["requiredCapabilities"]["extensions"];
        assert_eq!(required["io.modelcontextprotocol/tasks"], json!({}));
    }
}

#[tokio::test]
async fn a_tool_that_fails_completes_its_task_and_one_that_panics_does_not() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "fail", Value::Null).await;
    let failed = result(&client, &id).await;
    assert_eq!(failed["isError"], true);
    assert_eq!(failed["content"][0]["text"], "it failed");

    let id = start(&client, "panic", Value::Null).await;
    let task = until(&client, &id, TaskStatus::Failed).await;
    let TaskPayload::Failed { error } = task.payload else {
        panic!("{task:?}")
    };
    assert_eq!(error["code"], ErrorCode::INTERNAL_ERROR.0);
    assert_eq!(error["message"], "Error calling tool 'panic'");
}

#[tokio::test]
async fn a_task_is_cancelled_and_its_work_told_so() {
    let runs = Runs::default();
    let client = connect(&runs).await;
    let id = start(&client, "work", Value::Null).await;
    client.cancel_task(&id).await.unwrap();
    until(&client, &id, TaskStatus::Cancelled).await;
    while runs.get() == 0 {
        tokio::task::yield_now().await;
    }
    // Again, and nothing comes of it.
    client.cancel_task(&id).await.unwrap();
    client.update_task(&id, answers([])).await.unwrap();
    until(&client, &id, TaskStatus::Cancelled).await;
}

#[tokio::test]
async fn a_task_shows_what_it_is_doing() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "work", Value::Null).await;
    let shown = async {
        loop {
            let task = client.get_task(&id).await.unwrap().task;
            if task.status_message.as_deref() == Some("at work") {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), shown).await.unwrap();
}

#[tokio::test]
async fn a_task_asks_until_all_is_answered() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "ask", Value::Null).await;
    let mut task = until(&client, &id, TaskStatus::InputRequired).await;
    while open_questions(&task).len() < 2 {
        task = until(&client, &id, TaskStatus::InputRequired).await;
    }
    assert_eq!(open_questions(&task), ["a", "b"]);

    let first = answers([("a", json!("yes")), ("unknown", json!(1))]);
    client.update_task(&id, first).await.unwrap();
    let task = client.get_task(&id).await.unwrap();
    assert_eq!(open_questions(&task), ["b"]);
    client
        .update_task(&id, answers([("b", json!(7))]))
        .await
        .unwrap();
    let result = result(&client, &id).await;
    assert_eq!(result["content"][0]["text"], r#"["yes",7]"#);
}

#[tokio::test]
async fn a_task_asks_again_under_another_key_when_it_cannot_read_the_answer() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "ask", Value::Null).await;
    let mut task = until(&client, &id, TaskStatus::InputRequired).await;
    while open_questions(&task).len() < 2 {
        task = until(&client, &id, TaskStatus::InputRequired).await;
    }
    let wrong = answers([("a", json!("yes")), ("b", json!("seven"))]);
    client.update_task(&id, wrong).await.unwrap();
    let task = until(&client, &id, TaskStatus::InputRequired).await;
    let open = open_questions(&task);
    assert!(open.len() == 1 && open[0].starts_with("b~1"), "{open:?}");
    client
        .update_task(&id, answers([(&open[0], json!(7))]))
        .await
        .unwrap();
    let result = result(&client, &id).await;
    assert_eq!(result["content"][0]["text"], r#"["yes",7]"#);
}

#[tokio::test]
async fn a_question_that_nobody_waits_for_is_withdrawn() {
    let client = connect(&Runs::default()).await;
    let id = start(&client, "ask_in_vain", Value::Null).await;
    until(&client, &id, TaskStatus::InputRequired).await;
    until(&client, &id, TaskStatus::Working).await;
}

#[tokio::test]
async fn a_call_asks_as_any_other_until_it_goes_on_as_a_task() {
    let runs = Runs::default();
    let client = connect(&runs).await;
    let params = CallToolRequestParams::new("copy");
    let CallToolResponse::InputRequired(asked) = client.call_tool_once(params).await.unwrap()
    else {
        panic!("it asks first")
    };
    let key = asked.input_requests.unwrap().into_keys().next().unwrap();
    let mut params = CallToolRequestParams::new("copy");
    params.request_state = asked.request_state;
    params.input_responses = Some(answers([(&key, json!("here"))]));
    let CallToolResponse::Task(task) = client.call_tool_once(params).await.unwrap() else {
        panic!("it becomes a task")
    };
    let id = task.task.task_id;
    let task = until(&client, &id, TaskStatus::InputRequired).await;
    let key = &open_questions(&task)[0];
    client
        .update_task(&id, answers([(key, json!("there"))]))
        .await
        .unwrap();
    let result = result(&client, &id).await;
    assert_eq!(result["content"][0]["text"], r#"["here","there"]"#);
    assert_eq!(runs.get(), 1);
}

#[tokio::test]
async fn a_call_that_does_not_ask_to_be_a_task_is_answered() {
    let client = connect(&Runs::default()).await;
    let answer = client
        .call_tool_result("never_a_task", Value::Null)
        .await
        .unwrap();
    assert_eq!(answer.structured_content.unwrap()["result"], 7);
}

#[tokio::test]
async fn every_instance_over_the_store_tells_of_a_task_answers_it_and_cancels_it() {
    let store = MemoryStore::new();
    let here = connect_over(&store, &Runs::default()).await;
    let there = connect_over(&store, &Runs::default()).await;
    let id = start(&here, "ask", Value::Null).await;
    let mut task = until(&there, &id, TaskStatus::InputRequired).await;
    while open_questions(&task).len() < 2 {
        task = until(&there, &id, TaskStatus::InputRequired).await;
    }
    let both = answers([("a", json!("yes")), ("b", json!(7))]);
    there.update_task(&id, both).await.unwrap();
    result(&there, &id).await;

    let id = start(&here, "work", Value::Null).await;
    there.cancel_task(&id).await.unwrap();
    until(&there, &id, TaskStatus::Cancelled).await;
}

#[tokio::test]
async fn nobody_else_learns_of_a_task() {
    let client = connect(&Runs::default()).await;
    for id in ["", "unknown", "\0", &"x".repeat(10_000)] {
        let error = client.get_task(id).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0), "{id:.20}");
        let error = client.update_task(id, answers([])).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
        let error = client.cancel_task(id).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
    }
}

/// A server in a runtime of its own, which dies with it.
fn mortal(store: &MemoryStore, runs: &Runs) -> (Runtime, Client) {
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(connect_over(store, runs));
    (runtime, client)
}

#[test]
fn the_task_of_a_server_that_has_died_has_failed() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let (runtime, client) = mortal(&store, &Runs::default());
    let id = runtime.block_on(start(&client, "work", Value::Null));
    runtime.shutdown_timeout(Duration::from_secs(20));

    let (runtime, client) = mortal(&store, &Runs::default());
    clock.advance(Duration::from_secs(29));
    let task = runtime.block_on(client.get_task(&id)).unwrap();
    assert_eq!(task.status(), TaskStatus::Working);
    clock.advance(Duration::from_secs(1));
    let task = runtime.block_on(client.get_task(&id)).unwrap();
    let TaskPayload::Failed { error } = task.payload else {
        panic!("{task:?}")
    };
    assert_eq!(error["message"], "the server that ran the task has stopped");
}

#[test]
fn a_task_that_resumes_runs_again_with_what_it_knew() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let runs = Runs::default();
    let (runtime, client) = mortal(&store, &runs);
    let id = runtime.block_on(start(&client, "persist", json!({ "word": "hi" })));
    runtime.block_on(async {
        until(&client, &id, TaskStatus::InputRequired).await;
        let yes = answers([("on", json!("yes"))]);
        client.update_task(&id, yes).await.unwrap();
        while runs.get() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(20));

    for expected in [3, 4] {
        clock.advance(Duration::from_secs(30));
        let (runtime, client) = mortal(&store, &runs);
        runtime.block_on(async {
            client.get_task(&id).await.unwrap();
            while runs.get() < expected {
                sleep(Duration::from_millis(5)).await;
            }
            if expected == 4 {
                let result = result(&client, &id).await;
                assert_eq!(result["content"][0]["text"], r#"hi 0 Some("yes")"#);
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_task_ends_with_its_time() {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    let runs = Runs::default();
    let client = connect_over(&store, &runs).await;
    let id = start(&client, "work", Value::Null).await;
    clock.advance(Duration::from_secs(3600));
    let error = client.get_task(&id).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
    let stopped = async {
        while runs.get() == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), stopped).await.unwrap();
}
