//! The middleware that watches: logs, times and errors.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use mcp_server::middleware::{ErrorHandling, Logging, Middleware, Timing};
use mcp_server::{Client, PromptError, ResourceError, Server, ToolError, prompt, resource, tool};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing_subscriber::fmt::MakeWriter;

#[tool]
async fn log_in(user: String, password: String) -> String {
    format!("{user} {}", password.len())
}

#[tool]
async fn fail() -> Result<(), ToolError> {
    Err(ToolError::internal(io::Error::other("the disk is full")))
}

#[resource("file://{name}")]
async fn file(name: String) -> Result<String, ResourceError> {
    Err(ResourceError::internal(match name.as_str() {
        "none" => io::Error::from(io::ErrorKind::NotFound),
        "slow" => io::ErrorKind::TimedOut.into(),
        "secret" => io::ErrorKind::PermissionDenied.into(),
        _ => io::Error::other("s3cret"),
    }))
}

#[prompt]
async fn say() -> Result<String, PromptError> {
    Err(PromptError::new("nothing to say"))
}

async fn connect(middleware: impl Middleware) -> Client {
    let server = Server::builder("Watched").middleware(middleware);
    let server = server.tool(log_in).tool(fail).resource(file).prompt(say);
    Client::connect(&server.build().unwrap()).await.unwrap()
}

/// The log of this thread, a JSON object a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(log.clone())
            .finish();
        (log, set_default(subscriber))
    }

    fn of(&self, target: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let events = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["target"] == target).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn credentials() -> Value {
    json!({ "user": "ada", "password": "correct horse" })
}

#[tokio::test]
async fn a_request_is_two_events_and_says_no_arguments() {
    let (log, _guard) = Log::capture();
    let client = connect(Logging::new().methods(["tools/call"])).await;
    client
        .call_tool::<Value>("log_in", credentials())
        .await
        .unwrap();
    client.call_tool::<Value>("fail", ()).await.unwrap_err();
    client.list_tools().await.unwrap();
    let events = log.of("mcp_server::messages");
    let said: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["event"].as_str().unwrap(),
                event["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("request_start", "log_in"),
            ("request_success", "log_in"),
            ("request_start", "fail"),
            ("request_error", "fail"),
        ]
    );
    assert_eq!(events[1]["level"], "INFO");
    assert_eq!(
        (&events[3]["level"], &events[3]["kind"]),
        (&json!("WARN"), &json!("masked"))
    );
    assert!(events[1]["duration_ms"].as_f64().unwrap() >= 0.0);
    let text = format!("{events:?}");
    assert!(
        !text.contains("correct horse") && !text.contains("disk"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_told_of_invalid_arguments_is_not_logged() {
    let (log, _guard) = Log::capture();
    let client = connect(Logging::new()).await;
    let arguments = json!({ "user": { "correct": "horse" }, "password": [] });
    client
        .call_tool::<Value>("log_in", arguments)
        .await
        .unwrap_err();
    let events = log.of("mcp_server::messages");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["kind"], last.get("error")),
        (&json!("invalid_arguments"), None)
    );
}

#[tokio::test]
async fn payloads_are_logged_when_wanted_and_cut() {
    let (log, _guard) = Log::capture();
    let client = connect(Logging::new().methods(["tools/call"]).payloads(50)).await;
    let arguments = json!({ "user": "ä".repeat(100), "password": "" });
    client
        .call_tool::<Value>("log_in", arguments)
        .await
        .unwrap();
    let events = log.of("mcp_server::messages");
    let payload = events[0]["payload"].as_str().unwrap();
    assert!(
        payload.starts_with(r#"{"#) && payload.contains('ä'),
        "{payload}"
    );
    assert!(payload.len() <= 50 && payload.len() >= 49, "{payload}");
    assert!(events[0]["payload_bytes"].as_u64().unwrap() > 200);
    assert!(!payload.contains("_meta"), "{payload}");
}

#[tokio::test]
async fn a_notification_is_one_event() {
    let (log, _guard) = Log::capture();
    let server = Server::builder("Watched")
        .middleware(Logging::new())
        .build()
        .unwrap();
    let client = Client::builder().mode(mcp_server::client::ClientMode::Handshake);
    let client = client.connect(&server).await.unwrap();
    client.list_tools().await.unwrap();
    let events = log.of("mcp_server::messages");
    let methods = events
        .iter()
        .filter(|event| event["event"] == "notification");
    let methods: Vec<_> = methods.map(|event| event["method"].clone()).collect();
    assert_eq!(methods, ["notifications/initialized"]);
}

#[tokio::test]
async fn times_are_told_by_method_and_outcome() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let (log, _guard) = Log::capture();
    let client = connect(Timing::new()).await;
    client
        .call_tool::<Value>("log_in", credentials())
        .await
        .unwrap();
    client.call_tool::<Value>("fail", ()).await.unwrap_err();
    let events = log.of("mcp_server::timing");
    let outcomes: Vec<_> = events
        .iter()
        .map(|event| event["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["success", "success", "error"]);
    assert_eq!(events[1]["name"], "log_in");
    let metrics = handle.render();
    let counted = r#"mcp_request_duration_seconds_count{method="tools/call",outcome="error"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn errors_are_counted_and_told_although_who_is_told_panics() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let errors = ErrorHandling::new().on_error(move |method, error| {
        tell.lock()
            .unwrap()
            .push(format!("{method} {:?}", error.message()));
        panic!("in the callback");
    });
    let client = connect(errors.clone()).await;
    client.call_tool::<Value>("fail", ()).await.unwrap_err();
    client.call_tool::<Value>("fail", ()).await.unwrap_err();
    client.call_tool::<Value>("log_in", ()).await.unwrap_err();
    client.call_tool::<Value>("none", ()).await.unwrap_err();
    client.get_prompt("say", ()).await.unwrap_err();
    let counts: Vec<_> = errors.counts().into_iter().collect();
    let of = |method: &str, kind, count| ((method.to_owned(), kind), count);
    assert_eq!(
        counts,
        [
            of("prompts/get", "told", 1),
            of("tools/call", "invalid_arguments", 1),
            of("tools/call", "masked", 2),
            of("tools/call", "protocol", 1),
        ]
    );
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0], "tools/call None");
    assert_eq!(told[4], r#"prompts/get Some("nothing to say")"#);
}

#[tokio::test]
async fn masked_errors_are_told_apart_when_wanted() {
    for (name, code) in [
        ("none", -32602),
        ("slow", -32000),
        ("secret", -32000),
        ("x", -32603),
    ] {
        let client = connect(ErrorHandling::new().transform_errors(true)).await;
        let error = client
            .read_resource(&format!("file://{name}"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(code), "{name}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let client = connect(ErrorHandling::new()).await;
    let error = client.read_resource("file://none").await.unwrap_err();
    assert_eq!(error.code(), Some(-32603));
}
