//! Tasks at the edges of what their tools may ask for.

use std::sync::Arc;
use std::time::Duration;

use kv_core::Store;
use kv_core::conformance::{Fault, FaultStore};
use kv_core::wrappers::Operation;
use kv_memory::MemoryStore;
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, DetailedTask, ElicitResult, ElicitationAction,
    InputRequests, InputResponses, JsonObject, TaskPayload,
};
use mcp_server::{
    AskError, BoxFuture, Client, Context, Server, State, TaskOptions, Tool, ToolDefinition,
    ToolError, ToolResult, tool,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one question.
#[tool(task(resume))]
async fn ask(cx: Context) -> Result<Value, ToolError> {
    let answer = cx.elicit::<String>("Well?").key("well").await?;
    Ok(json!(answer.accepted()))
}

/// Asks two questions whose keys look as if the second were the first, asked again.
#[tool(task)]
async fn ask_alike(cx: Context) -> Result<Value, ToolError> {
    let (number, text) = tokio::join!(
        cx.elicit::<i64>("How many?").key("well"),
        cx.elicit::<String>("Well?").key("well~1"),
    );
    Ok(json!([number?.accepted(), text?.accepted()]))
}

/// What a tool waits for, and what it tells.
#[derive(Clone, Default)]
struct Signs {
    gate: Arc<Notify>,
    told: Arc<Notify>,
}

/// Does something once when the gate opens, and asks.
#[tool(task(resume))]
async fn ask_behind_gate(cx: Context, signs: State<Signs>) -> Result<Value, ToolError> {
    signs.gate.notified().await;
    cx.once("work", async { 1 }).await?;
    let answer = cx.elicit::<String>("Well?").key("well").await?;
    Ok(json!(answer.accepted()))
}

/// Tells when it cannot ask.
#[tool(task)]
async fn tell_of_failure(cx: Context, signs: State<Signs>) -> &'static str {
    signs.gate.notified().await;
    let answer = cx.elicit::<String>("Well?").key("well").await;
    assert!(matches!(answer, Err(AskError::Failed { .. })), "{answer:?}");
    signs.told.notify_one();
    "told"
}

/// [`ask`] with other options.
struct Ask(TaskOptions);

impl Tool for Ask {
    fn definition(&self) -> ToolDefinition {
        ask.definition().with_task(self.0.clone())
    }

    fn run(
        &self,
        cx: Context,
        arguments: JsonObject,
    ) -> BoxFuture<'_, Result<ToolResult, ToolError>> {
        Box::pin(async { ask.run(cx, arguments).await })
    }
}

async fn connect(server: &Server) -> Client {
    let user = Client::builder()
        .tasks()
        .elicitation_handler(async |_| unreachable!());
    user.connect(server).await.unwrap()
}

async fn connect_over(store: impl Store, signs: &Signs) -> Client {
    let server = Server::builder("Edges")
        .with_state(signs.clone())
        .tool(ask_behind_gate)
        .tool(tell_of_failure)
        .storage(store);
    connect(&server.build().unwrap()).await
}

async fn start(client: &Client, tool: &'static str) -> String {
    let params = CallToolRequestParams::new(tool);
    match client.call_tool_once(params).await.unwrap() {
        CallToolResponse::Task(task) => task.task.task_id,
        other => panic!("{other:?}"),
    }
}

/// Asks for a task until it is as wanted.
async fn until<T>(client: &Client, id: &str, see: impl Fn(DetailedTask) -> Option<T>) -> T {
    let polls = async {
        loop {
            if let Some(seen) = see(client.get_task(id).await.unwrap()) {
                return seen;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, polls).await.unwrap()
}

async fn questions(client: &Client, id: &str, count: usize) -> InputRequests {
    until(client, id, |task| match task.payload {
        TaskPayload::InputRequired { input_requests } if input_requests.len() == count => {
            Some(input_requests)
        }
        _ => None,
    })
    .await
}

async fn result(client: &Client, id: &str) -> Value {
    until(client, id, |task| match task.payload {
        TaskPayload::Completed { result } => Some(Value::Object(result)),
        _ => None,
    })
    .await
}

fn accept(answers: &[(&str, Value)]) -> InputResponses {
    let accept = |value| {
        let answer = ElicitResult::new(ElicitationAction::Accept);
        serde_json::to_value(answer.with_content(json!({ "value": value }))).unwrap()
    };
    let answers = answers.iter();
    answers
        .map(|(key, value)| ((*key).to_owned(), accept(value)))
        .collect()
}

#[tokio::test]
async fn the_longest_of_times_keeps_a_task_for_100_years() {
    let forever = TaskOptions::new()
        .ttl(Duration::MAX)
        .poll_interval(Duration::MAX);
    let server = Server::builder("Edges").tool(Ask(forever)).build().unwrap();
    let client = connect(&server).await;
    let id = start(&client, "ask").await;
    let century = Some(100 * 365 * 24 * 60 * 60 * 1000);
    let task = client.get_task(&id).await.unwrap().task;
    assert_eq!((task.ttl_ms, task.poll_interval_ms), (century, century));
    // What changes it writes its end anew.
    questions(&client, &id, 1).await;
    let answer = accept(&[("well", json!("yes"))]);
    client.update_task(&id, answer).await.unwrap();
    assert_eq!(result(&client, &id).await["content"][0]["text"], "yes");
}

#[tokio::test]
async fn a_tool_asks_and_keeps_what_it_did_although_the_store_fails_for_a_moment() {
    for fault in [Fault::unavailable(), Fault::outcome_unknown()] {
        let store = FaultStore::new(MemoryStore::new());
        let signs = Signs::default();
        let client = connect_over(store.clone(), &signs).await;
        let id = start(&client, "ask_behind_gate").await;
        store.inject(fault.on(Operation::Put).times(3));
        signs.gate.notify_one();
        let answer = accept(&[("well", json!("yes"))]);
        questions(&client, &id, 1).await;
        client.update_task(&id, answer).await.unwrap();
        assert_eq!(result(&client, &id).await["content"][0]["text"], "yes");
    }
}

#[tokio::test]
async fn a_tool_learns_that_it_cannot_ask_when_the_store_fails_for_long() {
    let store = FaultStore::new(MemoryStore::new());
    let signs = Signs::default();
    let client = connect_over(store.clone(), &signs).await;
    let id = start(&client, "tell_of_failure").await;
    store.inject(Fault::unavailable().on(Operation::Put).always());
    signs.gate.notify_one();
    timeout(PATIENCE, signs.told.notified()).await.unwrap();
    store.heal();
    assert_eq!(result(&client, &id).await["content"][0]["text"], "told");
}

#[tokio::test]
async fn a_question_asked_again_takes_no_key_of_the_tool() {
    let server = Server::builder("Edges").tool(ask_alike).build().unwrap();
    let client = connect(&server).await;
    let id = start(&client, "ask_alike").await;
    questions(&client, &id, 2).await;
    let wrong = accept(&[("well", json!("none"))]);
    client.update_task(&id, wrong).await.unwrap();
    let again = until(&client, &id, |task| match task.payload {
        TaskPayload::InputRequired { input_requests } => {
            let mut keys = input_requests.into_keys();
            keys.find(|key| key != "well" && key != "well~1")
        }
        _ => None,
    });
    let again = again.await;
    let right = accept(&[(&again, json!(7)), ("well~1", json!("yes"))]);
    client.update_task(&id, right).await.unwrap();
    let result = result(&client, &id).await;
    assert_eq!(result["content"][0]["text"], r#"[7,"yes"]"#);
}
