//! Tasks when things go wrong: stores that fail, clocks that jump, input that is too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::{LimitSize, Operation};
use kv_core::{Clock as _, ManualClock, Store, StoreExt as _, Timestamp};
use kv_memory::MemoryStore;
use mcp_server::client::ClientError;
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, DetailedTask, ElicitResult, ElicitationAction,
    ErrorCode, InputResponses, TaskPayload, TaskStatus,
};
use mcp_server::{Client, Context, Progress, Server, ServerBuilder, State, ToolError, tool};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the tools and the test tell each other.
#[derive(Clone)]
struct Signs {
    begun: Arc<AtomicUsize>,
    /// Works that are not going on any more.
    gone: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Signs {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            gone: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
        }
    }

    fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    async fn pass_gate(&self) {
        self.gate.acquire().await.unwrap().forget();
    }
}

/// Counts itself as gone when it is dropped.
struct Going(Signs);

impl Going {
    fn begin(signs: &Signs) -> Self {
        signs.begun.fetch_add(1, Ordering::SeqCst);
        Self(signs.clone())
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::SeqCst);
    }
}

/// Works until it is stopped.
#[tool(task)]
async fn work(signs: State<Signs>) -> String {
    let _going = Going::begin(&signs);
    std::future::pending().await
}

/// Works until it is stopped, here or elsewhere.
#[tool(task(resume))]
async fn work_on(signs: State<Signs>, text: String) -> String {
    let _going = Going::begin(&signs);
    std::future::pending::<()>().await;
    text
}

/// Tells much of itself.
#[tool(task)]
async fn boast(cx: Context, signs: State<Signs>) -> String {
    cx.report_progress(Progress::new(1.0).message("ä".repeat(100_000)))
        .await;
    signs.pass_gate().await;
    "done".to_owned()
}

/// Asks until the gate opens, and works on.
#[tool(task)]
async fn ask_a_while(cx: Context, signs: State<Signs>) -> String {
    tokio::select! {
        _ = cx.elicit::<String>("Well?").key("well") => {}
        () = signs.pass_gate() => {}
    }
    std::future::pending().await
}

/// Asks once the gate is open.
#[tool(task(resume))]
async fn ask_behind_gate(cx: Context, signs: State<Signs>) -> Result<Value, ToolError> {
    signs.pass_gate().await;
    let answer = cx.elicit::<String>("Well?").key("well").await?;
    Ok(json!(answer.accepted()))
}

/// Has much to say once the gate is open.
#[tool(task)]
async fn fill(signs: State<Signs>) -> String {
    signs.pass_gate().await;
    "x".repeat(100_000)
}

/// Begins something, and goes on as a task.
#[tool(task(on_demand))]
async fn go_on(cx: Context, signs: State<Signs>) -> String {
    let gone = cx.cancellation_token().clone();
    let going = Going::begin(&signs);
    tokio::spawn(async move {
        gone.cancelled().await;
        drop(going);
    });
    cx.continue_as_task().await;
    std::future::pending().await
}

fn build(store: impl Store, signs: &Signs, grace: Duration) -> Server {
    builder(store, signs).shutdown_grace(grace).build().unwrap()
}

fn builder(store: impl Store, signs: &Signs) -> ServerBuilder {
    Server::builder("Faults")
        .with_state(signs.clone())
        .tool(work)
        .tool(work_on)
        .tool(boast)
        .tool(ask_a_while)
        .tool(ask_behind_gate)
        .tool(fill)
        .tool(go_on)
        .storage(store)
}

async fn connect_to(server: &Server) -> Client {
    let user = Client::builder()
        .tasks()
        .elicitation_handler(async |_| unreachable!());
    user.connect(server).await.unwrap()
}

async fn connect(store: impl Store, signs: &Signs) -> Client {
    connect_to(&build(store, signs, PATIENCE)).await
}

/// A server in a runtime of its own, which dies with it.
fn mortal(store: &MemoryStore, signs: &Signs) -> (Runtime, Client) {
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(connect(store.clone(), signs));
    (runtime, client)
}

fn manual() -> (Arc<ManualClock>, MemoryStore) {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    (clock, store)
}

async fn try_start(
    client: &Client,
    tool: &'static str,
    arguments: Value,
) -> Result<String, ClientError> {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = serde_json::from_value(arguments).unwrap();
    match client.call_tool_once(params).await? {
        CallToolResponse::Task(task) => Ok(task.task.task_id),
        other => panic!("{other:?}"),
    }
}

async fn start(client: &Client, tool: &'static str) -> String {
    try_start(client, tool, json!({})).await.unwrap()
}

async fn reach(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::SeqCst) < wanted {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

/// Asks for a task until it is as wanted.
async fn until(
    client: &Client,
    id: &str,
    is_wanted: impl Fn(&DetailedTask) -> bool,
) -> DetailedTask {
    let polls = async {
        loop {
            let task = client.get_task(id).await.unwrap();
            if is_wanted(&task) {
                return task;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, polls).await.unwrap()
}

fn has(wanted: TaskStatus) -> impl Fn(&DetailedTask) -> bool {
    move |task| task.status() == wanted
}

fn answer(text: &str) -> InputResponses {
    let answer = ElicitResult::new(ElicitationAction::Accept);
    let answer = answer.with_content(json!({ "value": text }));
    [("well".to_owned(), serde_json::to_value(answer).unwrap())].into()
}

#[tokio::test]
async fn a_long_word_of_the_progress_is_cut_and_harms_no_task() {
    let signs = Signs::new();
    let client = connect(LimitSize::new(MemoryStore::new(), 64 * 1024), &signs).await;
    let id = start(&client, "boast").await;
    let told = |task: &DetailedTask| task.task.status_message.is_some();
    let task = until(&client, &id, told).await.task;
    let message = task.status_message.unwrap();
    assert!(message.starts_with("ää") && message.len() < 4096);
    signs.open_gate();
    until(&client, &id, has(TaskStatus::Completed)).await;
}

#[tokio::test]
async fn a_question_is_withdrawn_although_the_store_fails_meanwhile() {
    let signs = Signs::new();
    let store = FaultStore::new(MemoryStore::new());
    let client = connect(store.clone(), &signs).await;
    let id = start(&client, "ask_a_while").await;
    until(&client, &id, has(TaskStatus::InputRequired)).await;
    store.inject(Fault::unavailable().on(Operation::Put).times(2));
    signs.open_gate();
    until(&client, &id, has(TaskStatus::Working)).await;
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_is_the_fault_of_who_sends_it() {
    let signs = Signs::new();
    let client = connect(LimitSize::new(MemoryStore::new(), 64 * 1024), &signs).await;
    let long = "x".repeat(100_000);
    let arguments = json!({ "text": long });
    let error = try_start(&client, "work_on", arguments).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
    assert_eq!(signs.begun.load(Ordering::SeqCst), 0);

    let id = start(&client, "ask_behind_gate").await;
    signs.open_gate();
    until(&client, &id, has(TaskStatus::InputRequired)).await;
    let error = client.update_task(&id, answer(&long)).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
    client.update_task(&id, answer("yes")).await.unwrap();
    until(&client, &id, has(TaskStatus::Completed)).await;
}

#[tokio::test]
async fn a_runner_that_cannot_keep_its_lease_stops_when_another_may_begin() {
    for fault in [Fault::unavailable(), Fault::hold()] {
        let signs = Signs::new();
        let (clock, store) = manual();
        let far = FaultStore::new(store.clone());
        let here = connect(far.clone(), &signs).await;
        let id = try_start(&here, "work_on", json!({ "text": "" })).await;
        let id = id.unwrap();
        reach(&signs.begun, 1).await;
        far.inject(fault.always());
        // The runner has found that the store does not answer.
        let calls = far.all_calls();
        while far.all_calls() == calls {
            sleep(Duration::from_millis(10)).await;
        }
        clock.advance(Duration::from_secs(30));
        reach(&signs.gone, 1).await;

        let there = connect(store, &signs).await;
        there.get_task(&id).await.unwrap();
        reach(&signs.begun, 2).await;
    }
}

#[tokio::test]
async fn a_task_that_runs_here_has_not_died_when_the_clock_jumps() {
    let (clock, store) = manual();
    let client = connect(store, &Signs::new()).await;
    let id = start(&client, "work").await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(60));
        let task = client.get_task(&id).await.unwrap();
        assert_eq!(task.status(), TaskStatus::Working);
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_make_a_lease_longer() {
    let (clock, store) = manual();
    let client = connect(store, &Signs::new()).await;
    let id = start(&client, "work").await;
    let before = client.get_task(&id).await.unwrap().task.last_updated_at;
    let past = clock.now().as_micros() - 600_000_000;
    clock.set(Timestamp::from_micros(past));
    let renewed = |task: &DetailedTask| task.task.last_updated_at < before;
    until(&client, &id, renewed).await;
}

#[test]
fn an_answer_between_two_runs_is_not_lost() {
    let (clock, store) = manual();
    let signs = Signs::new();
    let (runtime, client) = mortal(&store, &signs);
    signs.open_gate();
    let id = runtime.block_on(start(&client, "ask_behind_gate"));
    runtime.block_on(until(&client, &id, has(TaskStatus::InputRequired)));
    runtime.shutdown_timeout(PATIENCE);

    clock.advance(Duration::from_secs(30));
    let (runtime, client) = mortal(&store, &signs);
    runtime.block_on(async {
        let task = client.get_task(&id).await.unwrap();
        assert_eq!(task.status(), TaskStatus::Working);
        // To the question that the first run has asked, before the second asks it.
        client.update_task(&id, answer("yes")).await.unwrap();
        signs.open_gate();
        let task = until(&client, &id, |task| task.status() != TaskStatus::Working).await;
        let TaskPayload::Completed { result } = task.payload else {
            panic!("{task:?}")
        };
        assert_eq!(result["content"][0]["text"], "yes");
    });
}

#[tokio::test]
async fn a_server_that_is_full_tells_of_the_tasks_of_dead_ones() {
    let (clock, store) = manual();
    let signs = Signs::new();
    let far = FaultStore::new(store.clone());
    let dying = connect(far.clone(), &signs).await;
    let id = try_start(&dying, "work_on", json!({ "text": "" })).await;
    let id = id.unwrap();
    reach(&signs.begun, 1).await;
    far.inject(Fault::unavailable().always());

    let server = builder(store, &signs).max_tasks(10).build().unwrap();
    let client = connect_to(&server).await;
    for _ in 0..10 {
        start(&client, "work").await;
    }
    let error = try_start(&client, "work", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR.0));
    assert!(error.to_string().contains("tasks of this server"));
    clock.advance(Duration::from_secs(30));
    for _ in 0..2 {
        let task = client.get_task(&id).await.unwrap();
        assert_eq!(task.status(), TaskStatus::Working);
    }
    assert_eq!(signs.begun.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn a_user_has_so_many_unfinished_tasks_at_most() {
    let signs = Signs::new();
    let (clock, store) = manual();
    let far = FaultStore::new(store.clone());
    let dying = connect(far.clone(), &signs).await;
    let id = try_start(&dying, "work_on", json!({ "text": "" })).await;
    let orphan = id.unwrap();
    reach(&signs.begun, 1).await;
    far.inject(Fault::unavailable().always());

    let server = builder(store, &signs).max_tasks_per_user(2);
    let client = connect_to(&server.build().unwrap()).await;
    let first = start(&client, "work").await;
    start(&client, "work").await;
    let error = try_start(&client, "work", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR.0));
    let message = "too many tasks of this user are unfinished; try again later";
    assert!(error.to_string().contains(message), "{error}");
    // One to take over would be one too many as well.
    clock.advance(Duration::from_secs(30));
    client.get_task(&orphan).await.unwrap();

    client.cancel_task(&first).await.unwrap();
    until(&client, &first, has(TaskStatus::Cancelled)).await;
    // The last thing that its runner does is to make room.
    let retried = async {
        while try_start(&client, "work", json!({})).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, retried).await.unwrap();
    try_start(&client, "work", json!({})).await.unwrap_err();
    reach(&signs.begun, 4).await;
    assert_eq!(signs.begun.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_a_call_has_begun_is_cancelled_when_it_cannot_become_a_task() {
    let signs = Signs::new();
    let store = FaultStore::new(MemoryStore::new());
    let client = connect(store.clone(), &signs).await;
    client.list_tools().await.unwrap();
    store.inject(Fault::unavailable().on(Operation::Put).always());
    let error = try_start(&client, "go_on", json!({})).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INTERNAL_ERROR.0));
    reach(&signs.gone, 1).await;
}

#[tokio::test]
async fn the_task_of_another_is_as_unknown_as_none() {
    let store = MemoryStore::new();
    let client = connect(store.clone(), &Signs::new()).await;
    let id = start(&client, "work").await;
    let give = |record: Option<Value>| {
        let mut record = record?;
        record["owner"] = json!("another");
        Some(record)
    };
    store.update("mcp_tasks", &id, None, give).await.unwrap();
    for asked in [
        client.get_task(&id).await.map(drop),
        client.update_task(&id, answer("yes")).await,
        client.cancel_task(&id).await,
    ] {
        let error = asked.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0));
        assert!(error.to_string().starts_with("Unknown task"));
    }
}

#[tokio::test]
async fn a_server_that_stops_ends_its_tasks_or_leaves_them_to_others() {
    let store = MemoryStore::new();
    let signs = Signs::new();
    let stopping = build(store.clone(), &signs, Duration::from_millis(50));
    let client = connect_to(&stopping).await;
    let ended = start(&client, "work").await;
    let text = json!({ "text": "" });
    let left = try_start(&client, "work_on", text).await.unwrap();
    reach(&signs.begun, 2).await;
    stopping.shutdown().await.unwrap();
    reach(&signs.gone, 2).await;

    let client = connect(store, &signs).await;
    let task = client.get_task(&ended).await.unwrap();
    assert_eq!(task.status(), TaskStatus::Failed);
    client.get_task(&left).await.unwrap();
    reach(&signs.begun, 3).await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_tasks_that_run_elsewhere() {
    let signs = Signs::new();
    let server = build(MemoryStore::new(), &signs, Duration::from_secs(600));
    let client = connect_to(&server).await;
    let text = json!({ "text": "" });
    try_start(&client, "work_on", text).await.unwrap();
    reach(&signs.begun, 1).await;
    let stopped = timeout(PATIENCE, server.shutdown()).await;
    stopped.unwrap().unwrap();
}

#[tokio::test]
async fn a_result_that_is_too_large_to_be_kept_fails_the_task() {
    let signs = Signs::new();
    let client = connect(LimitSize::new(MemoryStore::new(), 64 * 1024), &signs).await;
    let id = start(&client, "fill").await;
    signs.open_gate();
    let task = until(&client, &id, |task| task.status() != TaskStatus::Working).await;
    let TaskPayload::Failed { error } = task.payload else {
        panic!("{task:?}")
    };
    let message = "the task's result is too large to be kept";
    assert_eq!(error["message"], message);
}

#[tokio::test]
async fn a_task_ends_in_the_store_when_that_works_again() {
    let signs = Signs::new();
    let store = FaultStore::new(MemoryStore::new());
    let client = connect(store.clone(), &signs).await;
    let id = start(&client, "fill").await;
    store.inject(Fault::unavailable().on(Operation::Put).times(2));
    signs.open_gate();
    until(&client, &id, has(TaskStatus::Completed)).await;
}

#[tokio::test]
async fn an_ended_task_does_not_change() {
    let signs = Signs::new();
    let store = MemoryStore::new();
    let client = connect(store.clone(), &signs).await;
    let id = start(&client, "fill").await;
    signs.open_gate();
    until(&client, &id, has(TaskStatus::Completed)).await;
    let before = store.get_value::<Value>("mcp_tasks", &id).await.unwrap();
    client.cancel_task(&id).await.unwrap();
    client.update_task(&id, answer("late")).await.unwrap();
    let after = store.get_value::<Value>("mcp_tasks", &id).await.unwrap();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_task_is_kept_no_longer_when_it_changes() {
    let (clock, store) = manual();
    let client = connect(store, &Signs::new()).await;
    let id = start(&client, "work").await;
    clock.advance(Duration::from_secs(3000));
    client.cancel_task(&id).await.unwrap();
    until(&client, &id, has(TaskStatus::Cancelled)).await;
    clock.advance(Duration::from_secs(599));
    client.get_task(&id).await.unwrap();
    clock.advance(Duration::from_secs(1));
    client.get_task(&id).await.unwrap_err();
}

#[tokio::test]
async fn a_runner_that_another_has_replaced_stops_and_writes_nothing() {
    let signs = Signs::new();
    let store = MemoryStore::new();
    let client = connect(store.clone(), &signs).await;
    let id = try_start(&client, "work_on", json!({ "text": "" })).await;
    let id = id.unwrap();
    reach(&signs.begun, 1).await;
    let give = |record: Option<Value>| {
        let mut record = record?;
        record["runner"] = json!("another");
        Some(record)
    };
    let given = store.update("mcp_tasks", &id, None, give).await.unwrap();
    reach(&signs.gone, 1).await;
    let after = store.get_value::<Value>("mcp_tasks", &id).await.unwrap();
    assert_eq!(given, after);
}

#[tokio::test]
async fn a_server_without_the_tool_of_a_task_leaves_it_to_one_that_has_it() {
    let signs = Signs::new();
    let (clock, store) = manual();
    let far = FaultStore::new(store.clone());
    let dying = connect(far.clone(), &signs).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = try_start(&dying, "work_on", json!({ "text": "" })).await;
        ids.push(id.unwrap());
    }
    let [left, cancelled] = &ids[..] else {
        panic!("{ids:?}")
    };
    reach(&signs.begun, 2).await;
    far.inject(Fault::unavailable().always());

    let server = build(store.clone(), &signs, PATIENCE);
    let without = connect_to(&server).await;
    assert!(server.handle().remove_tool("work_on"));
    clock.advance(Duration::from_secs(30));
    for _ in 0..2 {
        let task = without.get_task(left).await.unwrap();
        assert_eq!(task.status(), TaskStatus::Working);
    }
    // To cancel it, nobody needs the tool.
    without.cancel_task(cancelled).await.unwrap();
    let task = without.get_task(cancelled).await.unwrap();
    assert_eq!(task.status(), TaskStatus::Cancelled);
    assert_eq!(signs.begun.load(Ordering::SeqCst), 2);

    let with = connect(store, &signs).await;
    with.get_task(left).await.unwrap();
    reach(&signs.begun, 3).await;
}
