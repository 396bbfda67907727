//! Questions to the client, messages and progress: the same tools on both protocol eras.
#![expect(
    deprecated,
    reason = "sampling and roots work until the protocol drops them (SEP-2577)"
)]

use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Extension;
use kv_core::ManualClock;
use kv_memory::MemoryStore;
use mcp_server::ask::InputRequired;
use mcp_server::client::{Client, ClientBuilder, ClientError, ClientMode, LogMessage};
use mcp_server::types::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CreateMessageResult,
    ElicitRequestParams, ElicitResult, ElicitationAction, ErrorCode, InputRequest,
    InputRequiredResult, JsonObject, ListRootsRequest, Root, SamplingMessage,
};
use mcp_server::{
    AskError, Context, Elicited, LogLevel, Principal, Progress, Server, ServerBuilder, State,
    ToolError, axum, tool,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::http_client::Served;

/// Who someone is.
#[derive(Deserialize, JsonSchema)]
struct Person {
    name: String,
    age: Option<u8>,
}

#[tool]
async fn greet(cx: Context) -> Result<String, ToolError> {
    let answer = cx.elicit::<Person>("Who are you?").key("who").await?;
    Ok(match answer {
        Elicited::Accepted(Person { name, age }) => format!("{name}, {age:?}"),
        Elicited::Declined => "declined".to_owned(),
        Elicited::Cancelled => "cancelled".to_owned(),
        _ => "?".to_owned(),
    })
}

/// Asks two questions at once, then a third.
#[tool]
async fn three(cx: Context, runs: State<Runs>) -> Result<Value, ToolError> {
    runs.count();
    let (a, b) = tokio::join!(
        cx.elicit::<String>("a?").key("a"),
        cx.elicit::<i64>("b?").key("b"),
    );
    let c = cx.elicit::<bool>("c?").await?;
    Ok(json!([a?.accepted(), b?.accepted(), c.accepted()]))
}

#[tool]
async fn the_same_key_twice(cx: Context) -> Result<String, ToolError> {
    let first = cx.elicit::<String>("a?").key("a");
    let second = cx.elicit::<String>("b?").key("a");
    let (_, second) = tokio::join!(first, second);
    match second {
        Err(AskError::DuplicateKey { key }) => Ok(format!("duplicate {key}")),
        _ => Ok("asked".to_owned()),
    }
}

/// Asks something else each time that it runs.
#[tool]
async fn fickle(cx: Context, runs: State<Runs>) -> Result<Option<String>, ToolError> {
    let question = format!("Question {}?", runs.count().min(2));
    let answer = cx.elicit::<String>(question).key("it").await?;
    Ok(answer.accepted())
}

/// Does something that must not be done twice, then asks.
#[tool]
async fn charge(cx: Context, runs: State<Runs>) -> Result<Value, ToolError> {
    let charge = cx.once("charge", async { runs.count() }).await?;
    let sure = cx.elicit::<bool>("Sure?").await?;
    Ok(json!([charge, sure.accepted()]))
}

/// Asks while it does something that must not be given up halfway.
#[tool]
async fn charge_meanwhile(cx: Context, runs: State<Runs>) -> Result<Value, ToolError> {
    let work = cx.once("charge", async {
        let times = runs.count();
        tokio::task::yield_now().await;
        times
    });
    let (times, sure) = tokio::join!(work, cx.elicit::<bool>("Sure?"));
    Ok(json!([times?, sure?.accepted()]))
}

#[tool]
async fn ask_within_once(cx: Context) -> Result<String, ToolError> {
    let inner = cx
        .once("work", async {
            let answer = cx.elicit::<String>("a?").await;
            matches!(answer, Err(AskError::InOnce))
        })
        .await?;
    Ok(inner.to_string())
}

/// Leaves a task behind that asks.
#[tool]
async fn leave_a_task(cx: Context, runs: State<Runs>) -> Result<(), ToolError> {
    let runs = Arc::clone(&runs.0);
    let task = tokio::spawn(async move {
        if matches!(cx.elicit::<String>("a?").await, Err(AskError::Nobody)) {
            runs.fetch_add(1, Ordering::SeqCst);
        }
    });
    Ok(task.await?)
}

#[tool]
async fn visit(cx: Context) -> Result<String, ToolError> {
    let page = cx.elicit_url("Log in", "https://example.com/login").await?;
    Ok(format!("{page:?}"))
}

#[tool]
async fn sum_up(cx: Context, text: String) -> Result<String, ToolError> {
    Ok(cx.sample(text).system_prompt("Be brief.").await?.text())
}

#[tool]
async fn count_roots(cx: Context) -> Result<usize, ToolError> {
    Ok(cx.list_roots().await?.len())
}

/// Adds up numbers that are asked for one by one.
#[tool]
async fn add_by_hand(cx: Context) -> Result<u64, ToolError> {
    let (mut sum, mut times): (u64, u64) = cx.carried().unwrap_or_default();
    if cx.answer("never asked").is_some() {
        return Err(ToolError::new("nobody asked that"));
    }
    if let Some(answer) = cx.answer("roots") {
        sum += answer["roots"].as_array().map_or(0, |it| it.len() as u64);
        times += 1;
    }
    if times == 3 {
        return Ok(sum);
    }
    let question = InputRequest::ListRoots(ListRootsRequest::default());
    let next = InputRequired::new().ask("roots", question);
    Err(next.carry((sum, times)).into())
}

/// Carries more than a client is handed.
#[tool]
async fn carry_much(cx: Context, size: usize) -> Result<usize, ToolError> {
    let text = cx.once("much", async { "x".repeat(size) }).await?;
    cx.elicit::<bool>("Sure?").await?;
    Ok(text.len())
}

#[tool]
async fn tell(cx: Context) -> Result<(), ToolError> {
    cx.debug("quiet").await;
    cx.info(json!({ "step": 1 })).await;
    cx.log(LogLevel::Alert, "loud").await;
    for step in 1..=2 {
        let progress = Progress::new(f64::from(step)).of(2.0);
        cx.report_progress(progress.message(format!("step {step}")))
            .await;
    }
    Ok(())
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
    Server::builder("Ask")
        .with_state(runs.clone())
        .tool(greet)
        .tool(three)
        .tool(the_same_key_twice)
        .tool(fickle)
        .tool(charge)
        .tool(charge_meanwhile)
        .tool(ask_within_once)
        .tool(leave_a_task)
        .tool(visit)
        .tool(sum_up)
        .tool(count_roots)
        .tool(add_by_hand)
        .tool(carry_much)
        .tool(tell)
}

async fn connect(runs: &Runs, user: ClientBuilder) -> Client {
    let server = builder(runs).build().unwrap();
    user.connect(&server).await.unwrap()
}

/// A user on each protocol era.
fn both_eras() -> [ClientBuilder; 2] {
    [
        Client::builder(),
        Client::builder().mode(ClientMode::Handshake),
    ]
}

fn elicits(
    user: ClientBuilder,
    answer: impl Fn(ElicitRequestParams) -> ElicitResult + Send + Sync + 'static,
) -> ClientBuilder {
    user.elicitation_handler(move |question| ready(answer(question)))
}

fn accept(content: Value) -> ElicitResult {
    ElicitResult::new(ElicitationAction::Accept).with_content(content)
}

fn message_of(question: &ElicitRequestParams) -> String {
    match question {
        ElicitRequestParams::FormElicitationParams { message, .. }
        | ElicitRequestParams::UrlElicitationParams { message, .. } => message.clone(),
        _ => panic!("{question:?}"),
    }
}

/// Accepts the questions of [`three`].
fn answers_three(question: &ElicitRequestParams) -> ElicitResult {
    accept(match message_of(question).as_str() {
        "a?" => json!({ "value": "yes" }),
        "b?" => json!({ "value": 7 }),
        "c?" => json!({ "value": true }),
        other => panic!("{other}"),
    })
}

fn result(answer: &CallToolResult) -> Value {
    assert_ne!(answer.is_error, Some(true), "{answer:?}");
    match &answer.structured_content {
        Some(content) => content["result"].clone(),
        None => serde_json::from_str(&answer.content[0].as_text().unwrap().text).unwrap(),
    }
}

fn said(answer: &CallToolResult) -> String {
    assert_eq!(answer.is_error, Some(true), "{answer:?}");
    answer.content[0].as_text().unwrap().text.clone()
}

#[tokio::test]
async fn a_user_is_asked_by_a_form_on_both_eras() {
    for user in both_eras() {
        let user = elicits(user, |question| {
            assert_eq!(message_of(&question), "Who are you?");
            let ElicitRequestParams::FormElicitationParams {
                requested_schema, ..
            } = question
            else {
                panic!("no form")
            };
            let form = serde_json::to_value(requested_schema).unwrap();
            assert_eq!(form["required"], json!(["name"]));
            assert_eq!(form["properties"]["age"]["type"], "integer");
            accept(json!({ "name": "Ada", "age": 36 }))
        });
        let client = connect(&Runs::default(), user).await;
        let answer = client.call_tool_result("greet", Value::Null).await.unwrap();
        assert_eq!(result(&answer), "Ada, Some(36)");
    }
}

#[tokio::test]
async fn a_user_may_decline_or_cancel() {
    for (action, expected) in [
        (ElicitationAction::Decline, "declined"),
        (ElicitationAction::Cancel, "cancelled"),
    ] {
        for user in both_eras() {
            let action = action.clone();
            let user = elicits(user, move |_| ElicitResult::new(action.clone()));
            let client = connect(&Runs::default(), user).await;
            let answer = client.call_tool_result("greet", Value::Null).await.unwrap();
            assert_eq!(result(&answer), expected);
        }
    }
}

#[tokio::test]
async fn questions_of_one_moment_are_asked_together() {
    let runs = Runs::default();
    let user = elicits(Client::builder(), |question| answers_three(&question));
    let client = connect(&runs, user).await;
    let asked = step(&client, "three", Value::Null, None).await;
    let keys: Vec<_> = questions(asked)
        .input_requests
        .unwrap()
        .into_keys()
        .collect();
    assert_eq!(keys, ["a", "b"]);

    for user in both_eras() {
        let runs = Runs::default();
        let client = connect(&runs, elicits(user, |question| answers_three(&question))).await;
        let answer = client.call_tool_result("three", Value::Null).await.unwrap();
        assert_eq!(result(&answer), json!(["yes", 7, true]));
        assert!([1, 3].contains(&runs.get()), "{}", runs.get());
    }
}

#[tokio::test]
async fn two_questions_of_one_key_are_an_error() {
    let user = elicits(Client::builder(), |question| answers_three(&question));
    let client = connect(&Runs::default(), user).await;
    let answer = client
        .call_tool_result("the_same_key_twice", Value::Null)
        .await;
    assert_eq!(result(&answer.unwrap()), "duplicate a");
}

#[tokio::test]
async fn an_answer_to_a_question_that_has_changed_is_asked_for_again() {
    let runs = Runs::default();
    let user = elicits(Client::builder(), |question| {
        accept(json!({ "value": message_of(&question) }))
    });
    let client = connect(&runs, user).await;
    let answer = client
        .call_tool_result("fickle", Value::Null)
        .await
        .unwrap();
    assert_eq!(result(&answer), "Question 2?");
    assert_eq!(runs.get(), 4);
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_form_is_asked_for_again_or_an_error() {
    let user = |times: usize| {
        let asked = AtomicUsize::new(0);
        move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            n if n < times => accept(json!({ "name": 5 })),
            _ => accept(json!({ "name": "Ada" })),
        }
    };
    let [later, earlier] = both_eras();
    let client = connect(&Runs::default(), elicits(later, user(2))).await;
    let answer = client.call_tool_result("greet", Value::Null).await.unwrap();
    assert_eq!(result(&answer), "Ada, None");
    let client = connect(&Runs::default(), elicits(earlier, user(1))).await;
    let answer = client.call_tool_result("greet", Value::Null).await.unwrap();
    assert_eq!(
        said(&answer),
        "the client's answer is not of the form asked for"
    );
}

#[tokio::test]
async fn what_is_done_once_is_done_once_on_both_eras() {
    for tool in ["charge", "charge_meanwhile"] {
        for user in both_eras() {
            let runs = Runs::default();
            let user = elicits(user, |_| accept(json!({ "value": true })));
            let client = connect(&runs, user).await;
            let answer = client.call_tool_result(tool, Value::Null).await.unwrap();
            assert_eq!(result(&answer), json!([0, true]));
            assert_eq!(runs.get(), 1);
        }
    }
}

#[tokio::test]
async fn a_question_within_once_is_refused_instead_of_waiting_for_ever() {
    for user in both_eras() {
        let user = elicits(user, |question| answers_three(&question));
        let client = connect(&Runs::default(), user).await;
        let answer = client
            .call_tool_result("ask_within_once", Value::Null)
            .await;
        assert_eq!(result(&answer.unwrap()), "true");
    }
}

#[tokio::test]
async fn a_task_that_a_run_leaves_behind_learns_that_nobody_answers() {
    let runs = Runs::default();
    let user = elicits(Client::builder(), |question| answers_three(&question));
    let client = connect(&runs, user).await;
    let asked = step(&client, "leave_a_task", Value::Null, None).await;
    assert!(matches!(asked, CallToolResponse::InputRequired(_)));
    let left = async {
        while runs.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), left)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_is_sent_to_a_page_on_both_eras() {
    for user in both_eras() {
        let user = elicits(user, |question| {
            let ElicitRequestParams::UrlElicitationParams { url, .. } = question else {
                panic!("a form")
            };
            assert_eq!(url, "https://example.com/login");
            ElicitResult::new(ElicitationAction::Accept)
        });
        let client = connect(&Runs::default(), user).await;
        let answer = client.call_tool_result("visit", Value::Null).await.unwrap();
        assert_eq!(result(&answer), "Accepted(())");
    }
}

#[tokio::test]
async fn the_clients_model_answers_on_both_eras() {
    for user in both_eras() {
        let user = user.sampling_handler(|question| {
            assert_eq!(question.system_prompt.as_deref(), Some("Be brief."));
            assert_eq!(question.max_tokens, 1024);
            let text = "A short text.";
            let said = SamplingMessage::assistant_text(text);
            ready(CreateMessageResult::new(said, "m".to_owned()))
        });
        let client = connect(&Runs::default(), user).await;
        let answer = client
            .call_tool_result("sum_up", json!({ "text": "Long." }))
            .await;
        assert_eq!(result(&answer.unwrap()), "A short text.");
    }
}

#[tokio::test]
async fn a_client_says_where_it_works_on_both_eras() {
    for user in both_eras() {
        let roots = vec![Root::new("file:///a"), Root::new("file:///b")];
        let client = connect(&Runs::default(), user.roots(roots)).await;
        let answer = client
            .call_tool_result("count_roots", Value::Null)
            .await
            .unwrap();
        assert_eq!(result(&answer), 2);
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_it_lacks() {
    let [later, earlier] = both_eras();
    let client = connect(&Runs::default(), later).await;
    let error = client
        .call_tool_result("greet", Value::Null)
        .await
        .unwrap_err();
    let lacks = ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY.0;
    assert_eq!(error.code(), Some(lacks));
    let ClientError::Refused { data, .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(
        data.unwrap()["requiredCapabilities"],
        json!({ "elicitation": { "form": {} } })
    );
    let client = connect(&Runs::default(), earlier).await;
    let answer = client.call_tool_result("greet", Value::Null).await.unwrap();
    assert_eq!(said(&answer), "the client does not support elicitation");
}

#[tokio::test]
async fn a_tool_asks_by_hand_and_carries_what_it_knows() {
    let [later, earlier] = both_eras();
    let roots = vec![Root::new("file:///a"), Root::new("file:///b")];
    let client = connect(&Runs::default(), later.roots(roots.clone())).await;
    let answer = client
        .call_tool_result("add_by_hand", Value::Null)
        .await
        .unwrap();
    assert_eq!(result(&answer), 6);
    let client = connect(&Runs::default(), earlier.roots(roots)).await;
    let answer = client
        .call_tool_result("add_by_hand", Value::Null)
        .await
        .unwrap();
    assert_eq!(
        said(&answer),
        "this asks its client, which needs protocol 2026-07-28"
    );
}

/// Makes one step of a call, with the state of the one before and the answer `true` to everything.
async fn step(
    client: &Client,
    tool: &'static str,
    arguments: Value,
    before: Option<InputRequiredResult>,
) -> CallToolResponse {
    try_step(client, tool, arguments, before).await.unwrap()
}

async fn try_step(
    client: &Client,
    tool: &'static str,
    arguments: Value,
    before: Option<InputRequiredResult>,
) -> Result<CallToolResponse, ClientError> {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = serde_json::from_value::<Option<JsonObject>>(arguments).unwrap();
    if let Some(before) = before {
        let answer = accept(json!({ "value": true }));
        let answer = serde_json::to_value(answer).unwrap();
        let keys = before.input_requests.unwrap_or_default().into_keys();
        params.input_responses = Some(keys.map(|key| (key, answer.clone())).collect());
        params.request_state = before.request_state;
    }
    client.call_tool_once(params).await
}

fn questions(response: CallToolResponse) -> InputRequiredResult {
    match response {
        CallToolResponse::InputRequired(questions) => questions,
        other => panic!("{other:?}"),
    }
}

fn complete(response: CallToolResponse) -> Value {
    match response {
        CallToolResponse::Complete(answer) => result(&answer),
        other => panic!("{other:?}"),
    }
}

fn answering() -> ClientBuilder {
    elicits(Client::builder(), |_| accept(json!({ "value": true })))
}

#[tokio::test]
async fn a_state_is_of_use_only_for_its_own_call() {
    let client = connect(&Runs::default(), answering()).await;
    let asked = questions(step(&client, "carry_much", json!({ "size": 10 }), None).await);

    let other_arguments = json!({ "size": 11 });
    let error = try_step(&client, "carry_much", other_arguments, Some(asked.clone())).await;
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_PARAMS.0));

    let done = step(&client, "carry_much", json!({ "size": 10 }), Some(asked)).await;
    assert_eq!(complete(done), 10);

    let asked = questions(step(&client, "charge", Value::Null, None).await);
    let error = try_step(&client, "charge_meanwhile", Value::Null, Some(asked)).await;
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_PARAMS.0));
}

#[tokio::test]
async fn a_state_is_of_use_only_for_its_own_caller() {
    let store = MemoryStore::new();
    let serve = async |name| {
        let server = builder(&Runs::default()).storage(store.clone());
        let router = server.build().unwrap().into_router().unwrap();
        let principal = Principal::user("https://id.example", name);
        Served::new(router.layer(Extension(principal))).await
    };
    let (ada, eve) = (serve("ada").await, serve("eve").await);
    let params = json!({ "name": "charge", "arguments": {} });
    let asked = ada.modern("tools/call", "charge", params.clone()).await;
    let asked = &asked["result"];
    let (key, _) = asked["inputRequests"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let mut answered = params;
    answered["requestState"] = asked["requestState"].clone();
    answered["inputResponses"] =
        json!({ key: { "action": "accept", "content": { "value": true } } });
    let refused = eve.modern("tools/call", "charge", answered.clone()).await;
    assert_eq!(refused["error"]["code"], ErrorCode::INVALID_PARAMS.0);
    let done = ada.modern("tools/call", "charge", answered).await;
    assert_eq!(done["result"]["content"][0]["text"], "[0,true]");
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_ignored() {
    let roots = vec![Root::new("file:///a")];
    let client = connect(&Runs::default(), Client::builder().roots(roots)).await;
    let asked = questions(step(&client, "add_by_hand", Value::Null, None).await);
    let mut params = CallToolRequestParams::new("add_by_hand");
    params.request_state = asked.request_state;
    params.input_responses = Some([("never asked".to_owned(), json!({}))].into());
    let again = client.call_tool_once(params).await.unwrap();
    assert!(
        matches!(again, CallToolResponse::InputRequired(_)),
        "{again:?}"
    );
}

#[tokio::test]
async fn an_answer_that_comes_before_its_question_is_taken() {
    let client = connect(&Runs::default(), answering()).await;
    let mut params = CallToolRequestParams::new("greet");
    let name = json!({ "action": "accept", "content": { "name": "Ada" } });
    let unknown = json!({ "action": "accept", "content": { "b": 1 } });
    let answers = [("who".to_owned(), name), ("unknown".to_owned(), unknown)];
    params.input_responses = Some(answers.into());
    let answer = client.call_tool_once(params).await.unwrap();
    assert_eq!(complete(answer), "Ada, None");
}

#[tokio::test]
async fn an_early_answer_that_is_not_of_the_form_is_asked_for() {
    let client = connect(&Runs::default(), answering()).await;
    let mut params = CallToolRequestParams::new("greet");
    params.input_responses = Some([("who".to_owned(), json!(12345))].into());
    let asked = questions(client.call_tool_once(params).await.unwrap());
    assert_eq!(asked.input_requests.unwrap().len(), 1);
}

#[tokio::test]
async fn no_changed_byte_of_a_state_is_taken() {
    let client = connect(&Runs::default(), answering()).await;
    let asked = questions(step(&client, "charge", Value::Null, None).await);
    let state = asked.request_state.clone().unwrap();
    for place in 0..state.len() {
        let mut bytes = state.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        let mut changed = asked.clone();
        changed.request_state = Some(String::from_utf8(bytes).unwrap());
        let error = try_step(&client, "charge", Value::Null, Some(changed)).await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARAMS.0), "{place}");
        assert!(!error.to_string().contains(&state));
    }
    for foreign in ["", "@", "@..", "@\0", "x", "{}"] {
        let mut changed = asked.clone();
        changed.request_state = Some(foreign.to_owned());
        let error = try_step(&client, "charge", Value::Null, Some(changed)).await;
        let code = error.unwrap_err().code();
        assert_eq!(code, Some(ErrorCode::INVALID_PARAMS.0), "{foreign:?}");
    }
}

#[tokio::test]
async fn a_state_says_nothing_of_what_it_holds() {
    let client = connect(&Runs::default(), answering()).await;
    let asked = questions(step(&client, "carry_much", json!({ "size": 99 }), None).await);
    let state = asked.request_state.unwrap();
    assert!(!state.contains("xxxx"), "{state}");
    let twice = questions(step(&client, "carry_much", json!({ "size": 99 }), None).await);
    assert_ne!(twice.request_state.unwrap(), state);
}

#[tokio::test]
async fn a_long_state_stays_in_the_store() {
    let client = connect(&Runs::default(), answering()).await;
    let size = json!({ "size": 100_000 });
    let asked = questions(step(&client, "carry_much", size.clone(), None).await);
    assert!(asked.request_state.as_ref().unwrap().len() < 100);
    let done = step(&client, "carry_much", size, Some(asked)).await;
    assert_eq!(complete(done), 100_000);
}

#[tokio::test]
async fn a_state_ends_after_ten_minutes() {
    let clock = Arc::new(ManualClock::starting_now());
    for size in [10, 100_000] {
        let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        let server = builder(&Runs::default()).storage(store).build().unwrap();
        let client = answering().connect(&server).await.unwrap();
        let size = json!({ "size": size });
        let asked = questions(step(&client, "carry_much", size.clone(), None).await);
        clock.advance(Duration::from_secs(599));
        step(&client, "carry_much", size.clone(), Some(asked.clone())).await;
        clock.advance(Duration::from_secs(1));
        let error = try_step(&client, "carry_much", size, Some(asked)).await;
        assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_PARAMS.0));
    }
}

#[tokio::test]
async fn a_call_goes_on_at_another_instance_over_the_same_store() {
    let store = MemoryStore::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let server = builder(&Runs::default()).storage(store.clone());
        let server = server.build().unwrap();
        clients.push(answering().connect(&server).await.unwrap());
    }
    let asked = questions(step(&clients[0], "charge", Value::Null, None).await);
    let done = step(&clients[1], "charge", Value::Null, Some(asked)).await;
    assert_eq!(complete(done), json!([0, true]));
}

#[tokio::test]
async fn a_state_of_a_server_with_other_keys_is_refused() {
    let client = connect(&Runs::default(), answering()).await;
    let asked = questions(step(&client, "charge", Value::Null, None).await);
    let other = connect(&Runs::default(), answering()).await;
    let error = try_step(&other, "charge", Value::Null, Some(asked)).await;
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_PARAMS.0));
}

/// What a client has heard: all of a call comes before its answer.
#[derive(Clone, Default)]
struct Ear {
    messages: Arc<Mutex<Vec<(LogLevel, Value)>>>,
    progress: Arc<Mutex<Vec<Progress>>>,
}

impl Ear {
    fn listen(&self, user: ClientBuilder, level: LogLevel) -> ClientBuilder {
        let (messages, progress) = (Arc::clone(&self.messages), Arc::clone(&self.progress));
        let hear =
            move |LogMessage { level, data, .. }| messages.lock().unwrap().push((level, data));
        user.log_handler(level, hear)
            .progress_handler(move |report| progress.lock().unwrap().push(report))
    }

    fn heard(&self) -> (Vec<(LogLevel, Value)>, Vec<Progress>) {
        let messages = self.messages.lock().unwrap().clone();
        (messages, self.progress.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn a_client_hears_the_messages_it_wants_and_the_progress() {
    for user in both_eras() {
        let ear = Ear::default();
        let client = connect(&Runs::default(), ear.listen(user, LogLevel::Info)).await;
        client.call_tool_result("tell", Value::Null).await.unwrap();
        let (messages, progress) = ear.heard();
        let expected = [
            (LogLevel::Info, json!({ "step": 1 })),
            (LogLevel::Alert, json!("loud")),
        ];
        assert_eq!(messages, expected);
        let expected =
            [1.0, 2.0].map(|done| Progress::new(done).of(2.0).message(format!("step {done}")));
        assert_eq!(progress, expected);
    }
}

#[tokio::test]
async fn a_client_hears_no_messages_that_are_less_grave_than_it_wants() {
    let ear = Ear::default();
    let user = ear.listen(Client::builder(), LogLevel::Emergency);
    let client = connect(&Runs::default(), user).await;
    client.call_tool_result("tell", Value::Null).await.unwrap();
    let (messages, progress) = ear.heard();
    assert_eq!((messages, progress.len()), (vec![], 2));
}

#[tokio::test]
async fn work_that_outlives_its_call_has_nobody_to_ask() {
    #[derive(Default, Clone, Serialize)]
    struct Nothing;
    #[tool]
    async fn outlive(cx: Context) -> Result<String, ToolError> {
        let cx = cx.detached();
        cx.info(Nothing).await;
        let asked = cx.elicit::<String>("a?").await;
        Ok(format!("{}", asked.unwrap_err()))
    }
    let server = Server::builder("Detached").tool(outlive).build().unwrap();
    let ear = Ear::default();
    let client = ear
        .listen(answering(), LogLevel::Debug)
        .connect(&server)
        .await
        .unwrap();
    let answer = client
        .call_tool_result("outlive", Value::Null)
        .await
        .unwrap();
    assert_eq!(result(&answer), "there is no client to ask");
    assert_eq!(ear.heard(), (vec![], vec![]));
}
