//! Tasks at the edges of what their tools may ask for.

use std::time::Duration;

use futures_util::future::BoxFuture;
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, DetailedTask, ElicitResult, ElicitationAction,
    InputRequests, InputResponses, JsonObject, TaskPayload,
};
use mcp_server::{
    Client, Context, Server, TaskOptions, Tool, ToolDefinition, ToolError, ToolResult, tool,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one question.
#[tool(task(resume))]
async fn ask(cx: Context) -> Result<Value, ToolError> {
    let answer = cx.elicit::<String>("Well?").key("well").await?;
    Ok(json!(answer.accepted()))
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
