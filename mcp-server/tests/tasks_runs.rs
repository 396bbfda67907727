//! What a run of a task leaves to the next, and what it must not do once that has begun.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_core::{Clock as _, ManualClock, StoreExt as _};
use kv_memory::MemoryStore;
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, DetailedTask, InputResponses, TaskPayload,
};
use mcp_server::{Client, Context, Server, State, ToolError, tool};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the tools and the test tell each other.
#[derive(Clone)]
struct Signs {
    begun: Arc<AtomicUsize>,
    worked: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
    /// Within work that is done once.
    inner_gate: Arc<Semaphore>,
    /// What that came to, for those who did it.
    came_to: Arc<Mutex<Vec<String>>>,
    gone: Arc<AtomicUsize>,
}

/// Counts itself as gone when it is dropped.
struct Going(Arc<AtomicUsize>);

impl Drop for Going {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Signs {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            worked: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            inner_gate: Arc::new(Semaphore::new(0)),
            came_to: Arc::default(),
            gone: Arc::default(),
        }
    }

    fn count(of: &AtomicUsize) -> usize {
        of.load(Ordering::SeqCst)
    }

    fn begun(&self) -> usize {
        Self::count(&self.begun)
    }
}

/// Tells the session that it was called in, once the gate is open.
#[tool(task(resume))]
async fn whose(cx: Context, signs: State<Signs>) -> Option<String> {
    signs.begun.fetch_add(1, Ordering::SeqCst);
    signs.gate.acquire().await.unwrap().forget();
    cx.session_id().map(str::to_owned)
}

/// Does a piece of work once, when the gate is open.
#[tool(task(resume))]
async fn step(cx: Context, signs: State<Signs>) -> Result<String, ToolError> {
    let _going = Going(Arc::clone(&signs.gone));
    signs.begun.fetch_add(1, Ordering::SeqCst);
    signs.gate.acquire().await.unwrap().forget();
    let work = async {
        let before = signs.worked.fetch_add(1, Ordering::SeqCst);
        signs.inner_gate.acquire().await.unwrap().forget();
        before
    };
    let done = format!("{:?}", cx.once("work", work).await);
    signs.came_to.lock().unwrap().push(done.clone());
    Ok(done)
}

/// Asks for a number.
#[tool(task)]
async fn count(cx: Context) -> String {
    format!("{:?}", cx.elicit::<i64>("How many?").key("n").await)
}

fn server(store: &MemoryStore, signs: &Signs) -> Server {
    Server::builder("Runs")
        .storage(store.clone())
        .with_state(signs.clone())
        .tool(whose)
        .tool(step)
        .tool(count)
        .build()
        .unwrap()
}

async fn connect(store: &MemoryStore, signs: &Signs) -> Client {
    let client = Client::builder()
        .tasks()
        .elicitation_handler(async |_| unreachable!());
    client.connect(&server(store, signs)).await.unwrap()
}

async fn start(client: &Client, tool: &'static str) -> String {
    let params = CallToolRequestParams::new(tool);
    match client.call_tool_once(params).await.unwrap() {
        CallToolResponse::Task(task) => task.task.task_id,
        other => panic!("{other:?}"),
    }
}

async fn reach(what: impl AsyncFn() -> bool) {
    let reached = async {
        while !what().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reached).await.unwrap();
}

async fn ended(client: &Client, id: &str) -> DetailedTask {
    reach(async || {
        let task = client.get_task(id).await.unwrap();
        !matches!(
            task.payload,
            TaskPayload::Working | TaskPayload::InputRequired { .. }
        )
    })
    .await;
    client.get_task(id).await.unwrap()
}

async fn text(client: &Client, id: &str) -> Value {
    match ended(client, id).await.payload {
        TaskPayload::Completed { result } => result["structuredContent"]["result"].clone(),
        other => panic!("{other:?}"),
    }
}

async fn record(store: &MemoryStore, id: &str) -> Value {
    store
        .get_value::<Value>("mcp_tasks", id)
        .await
        .unwrap()
        .unwrap()
}

/// Makes another runner of the one that a task has.
async fn replace_runner(store: &MemoryStore, id: &str) -> Value {
    let give = |record: Option<Value>| {
        let mut record = record?;
        record["runner"] = json!("another");
        Some(record)
    };
    store
        .update("mcp_tasks", id, None, give)
        .await
        .unwrap()
        .unwrap()
}

fn manual() -> (Arc<ManualClock>, MemoryStore) {
    let clock = Arc::new(ManualClock::starting_now());
    let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
    (clock, store)
}

#[test]
fn the_next_run_is_in_the_session_of_the_first() {
    let (clock, store) = manual();
    let signs = Signs::new();
    let runtime = Runtime::new().unwrap();
    let (id, session) = runtime.block_on(async {
        let client = connect(&store, &signs).await;
        let id = start(&client, "whose").await;
        reach(async || signs.begun() == 1).await;
        let session = record(&store, &id).await["session"].clone();
        (id, session)
    });
    runtime.shutdown_timeout(PATIENCE);
    assert!(session.is_string(), "{session}");

    clock.advance(Duration::from_secs(30));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let client = connect(&store, &signs).await;
        signs.gate.add_permits(1);
        assert_eq!(text(&client, &id).await, session);
    });
}

#[tokio::test]
async fn a_run_keeps_its_lease_for_as_long_as_it_takes() {
    let (clock, store) = manual();
    let signs = Signs::new();
    let (here, there) = (connect(&store, &signs).await, connect(&store, &signs).await);
    let id = start(&here, "whose").await;
    for _ in 0..3 {
        clock.advance(Duration::from_secs(20));
        let now = clock.now().as_micros();
        reach(async || record(&store, &id).await["lease_end"].as_i64().unwrap() > now).await;
        let task = there.get_task(&id).await.unwrap();
        assert!(matches!(task.payload, TaskPayload::Working));
    }
    // Its lease would have ended twice.
    assert_eq!(signs.begun(), 1);
}

#[tokio::test]
async fn a_run_that_another_has_replaced_does_no_work_that_is_done_once() {
    let store = MemoryStore::new();
    let signs = Signs::new();
    let client = connect(&store, &signs).await;
    let id = start(&client, "step").await;
    reach(async || signs.begun() == 1).await;
    let given = replace_runner(&store, &id).await;
    signs.gate.add_permits(1);
    reach(async || Signs::count(&signs.gone) == 1).await;
    assert_eq!(Signs::count(&signs.worked), 0);
    assert_eq!(record(&store, &id).await, given);
}

#[tokio::test]
async fn a_run_that_is_replaced_during_work_does_not_go_on_with_its_result() {
    let store = MemoryStore::new();
    let signs = Signs::new();
    let client = connect(&store, &signs).await;
    let id = start(&client, "step").await;
    signs.gate.add_permits(1);
    reach(async || Signs::count(&signs.worked) == 1).await;
    let given = replace_runner(&store, &id).await;
    signs.inner_gate.add_permits(1);
    reach(async || Signs::count(&signs.gone) == 1).await;
    let came_to = signs.came_to.lock().unwrap().clone();
    // It was stopped before it has learned, at best.
    assert!(came_to.iter().all(|it| it == "Err(Nobody)"), "{came_to:?}");
    assert_eq!(record(&store, &id).await, given);
}

#[tokio::test]
async fn work_that_is_done_once_tells_the_task_what_it_came_to() {
    let store = MemoryStore::new();
    let signs = Signs::new();
    let client = connect(&store, &signs).await;
    let id = start(&client, "step").await;
    signs.gate.add_permits(1);
    signs.inner_gate.add_permits(1);
    assert_eq!(text(&client, &id).await, "Ok(0)");
}

#[tokio::test]
async fn a_task_asks_three_times_for_an_answer_that_it_can_read() {
    let client = connect(&MemoryStore::new(), &Signs::new()).await;
    let id = start(&client, "count").await;
    let mut keys = Vec::new();
    for _ in 0..3 {
        let seen = keys.len();
        reach(async || match client.get_task(&id).await.unwrap().payload {
            TaskPayload::InputRequired { input_requests } => {
                !input_requests.keys().any(|key| keys.contains(key)) && keys.len() == seen
            }
            _ => false,
        })
        .await;
        let TaskPayload::InputRequired { input_requests } =
            client.get_task(&id).await.unwrap().payload
        else {
            panic!("it has asked");
        };
        let key = input_requests.into_keys().next().unwrap();
        let nonsense = json!({ "action": "accept", "content": { "value": "many" } });
        let answers = InputResponses::from([(key.clone(), nonsense)]);
        client.update_task(&id, answers).await.unwrap();
        keys.push(key);
    }
    assert_eq!(keys[0], "n");
    assert!(
        keys[1].starts_with("n~1:") && keys[2].starts_with("n~2:"),
        "{keys:?}"
    );
    assert_eq!(text(&client, &id).await, "Err(InvalidAnswer)");
}
