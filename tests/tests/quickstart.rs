//! The quickstart example as a new user would try it, with the Python FastMCP client.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use kv_tests::services::{dynamodb, redis};
use serde_json::{Value, json};
use tempfile::tempdir;
use tokio::task;

use crate::python::{call, run};
use crate::server_process::{ServerProcess, quickstart, terminate};

/// The newest protocol, and the handshake of older clients.
const MODES: [&str; 2] = ["auto", "legacy"];

fn ask(mode: &str, server: &ServerProcess, steps: &[Value]) -> Vec<Value> {
    let folder = tempdir().unwrap();
    run(mode, &server.url, steps, folder.path())
}

/// Starts the server on pipes, with its store in `folder`.
fn start_on_stdio(folder: &Path) -> Child {
    Command::new(quickstart())
        .args(["--transport", "stdio"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_value_survives_sigkill_in_both_protocol_eras() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start(folder.path());
        let set = call("set_config", json!({ "key": "color", "value": "blue" }));
        let answers = ask(mode, &server, &[set]);
        assert_eq!(answers[0]["ok"]["is_error"], false, "{mode}: {answers:?}");
        server.kill();

        let server = ServerProcess::start(folder.path());
        let answers = ask(
            mode,
            &server,
            &[call("get_config", json!({ "key": "color" }))],
        );
        let expected = json!({ "key": "color", "value": "blue" });
        assert_eq!(
            answers[0]["ok"]["structured"], expected,
            "{mode}: {answers:?}"
        );
    }
}

/// Sets a value with the Python client, kills the server and reads the value from another one.
fn survives_sigkill(storage: &str) {
    let options = ["--storage", storage];
    for mode in MODES {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start_with(folder.path(), &options);
        let set = call("set_config", json!({ "key": mode, "value": storage }));
        let answers = ask(mode, &server, &[set]);
        assert_eq!(answers[0]["ok"]["is_error"], false, "{mode}: {answers:?}");
        server.kill();

        let server = ServerProcess::start_with(folder.path(), &options);
        let get = call("get_config", json!({ "key": mode }));
        let answers = ask(mode, &server, &[get]);
        let expected = json!({ "key": mode, "value": storage });
        assert_eq!(
            answers[0]["ok"]["structured"], expected,
            "{mode}: {answers:?}"
        );
        assert!(!folder.path().join("data").exists());
    }
}

#[tokio::test]
async fn a_value_survives_sigkill_on_redis() {
    let url = redis().await;
    task::spawn_blocking(|| survives_sigkill(url))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_value_survives_sigkill_on_dynamodb() {
    let url = dynamodb().await;
    let storage = format!("dynamodb://quickstart?endpoint={url}&region=eu-west-1");
    task::spawn_blocking(move || survives_sigkill(&storage))
        .await
        .unwrap();
}

#[test]
fn a_missing_key_is_a_tool_error_that_names_it() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start(folder.path());
        let answers = ask(
            mode,
            &server,
            &[call("get_config", json!({ "key": "colour" }))],
        );
        assert_eq!(answers[0]["ok"]["is_error"], true, "{mode}");
        assert_eq!(
            answers[0]["ok"]["text"],
            "no configuration entry is called \"colour\""
        );
    }
}

#[test]
fn what_a_caller_asks_to_remember_is_there_in_its_next_call() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start(folder.path());
        let steps = [
            call("remember", json!({ "key": "pet", "value": "cat" })),
            call("recall", json!({ "key": "pet" })),
        ];
        let answers = ask(mode, &server, &steps);
        assert_eq!(answers[1]["ok"]["text"], "cat", "{mode}: {answers:?}");
    }
}

#[test]
fn tools_resources_and_prompts_are_listed_and_answer() {
    for mode in MODES {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start(folder.path());
        let steps = [
            json!(["list", "tools", null]),
            call("add", json!({ "a": 2, "b": 40 })),
            json!(["list", "resources", null]),
            json!(["read", "info://about", null]),
            json!(["list", "resource_templates", null]),
            json!(["read", "greeting://Ada%20Lovelace", null]),
            json!(["prompt", "summarize", { "topic": "cats" }]),
        ];
        let answers = ask(mode, &server, &steps);
        let tools: Vec<_> = answers[0]["ok"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| &tool["name"])
            .collect();
        assert_eq!(
            tools,
            ["add", "get_config", "recall", "remember", "set_config"],
            "{mode}"
        );
        let first = &answers[0]["ok"][0]["inputSchema"]["properties"]["a"];
        assert_eq!(first["description"], "First number", "{mode}");
        assert_eq!(
            answers[1]["ok"]["structured"],
            json!({ "result": 42 }),
            "{mode}: {answers:?}"
        );
        assert_eq!(answers[2]["ok"][0]["uri"], "info://about", "{mode}");
        assert!(
            answers[3]["ok"][0]["text"]
                .as_str()
                .unwrap()
                .starts_with("A quickstart server")
        );
        assert_eq!(
            answers[4]["ok"][0]["uriTemplate"], "greeting://{name}",
            "{mode}"
        );
        let greeting = answers[5]["ok"][0]["text"].as_str().unwrap();
        assert!(
            greeting.starts_with("Hello Ada Lovelace!"),
            "{mode}: {greeting}"
        );
        let prompt = answers[6]["ok"]["messages"][0]["content"]["text"]
            .as_str()
            .unwrap();
        assert!(prompt.contains("\"cats\""), "{mode}: {prompt}");
    }
}

#[test]
fn two_stdio_servers_at_once_share_one_store() {
    let folder = tempdir().unwrap();
    let target = json!([quickstart(), "--transport", "stdio"]).to_string();
    let steps = |own: &str| -> Vec<Value> {
        (0..20)
            .map(|n| {
                call(
                    "set_config",
                    json!({ "key": format!("{own}{n}"), "value": own }),
                )
            })
            .collect()
    };
    thread::scope(|scope| {
        for own in ["a", "b"] {
            let (target, folder) = (&target, folder.path());
            scope.spawn(move || {
                for answer in run("auto", target, &steps(own), folder) {
                    assert_eq!(answer["ok"]["is_error"], false, "{answer}");
                }
            });
        }
    });
    let gets: Vec<_> = ["a", "b"]
        .iter()
        .flat_map(|own| {
            (0..20).map(move |n| call("get_config", json!({ "key": format!("{own}{n}") })))
        })
        .collect();
    for answer in run("legacy", &target, &gets, folder.path()) {
        assert_eq!(answer["ok"]["is_error"], false, "{answer}");
    }
}

#[test]
fn sigterm_closes_the_lifespan_and_exits_cleanly() {
    let folder = tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    ask("auto", &server, &[json!(["read", "greeting://Ada", null])]);
    let (status, log) = server.terminate();
    assert!(status.success(), "{status}\n{log}");
    assert!(
        log.contains("goodbye") && log.contains("greetings=1"),
        "{log}"
    );
}

#[test]
fn a_port_in_use_is_an_error_that_names_the_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempdir().unwrap();
    let output = Command::new(quickstart())
        .args(["--port", &port])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.contains("in use by another program; choose another port with --port"),
        "{errors}"
    );
}

#[test]
fn help_opens_no_store() {
    let folder = tempdir().unwrap();
    let output = Command::new(quickstart())
        .arg("--help")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(!folder.path().join("data").exists());
}

#[test]
fn no_argument_reaches_the_log_whatever_rust_log_says() {
    const CANARY: &str = "canary-4711";
    let folder = tempdir().unwrap();
    let server = ServerProcess::start(folder.path());
    for mode in MODES {
        let steps = [
            call("set_config", json!({ "key": "secret", "value": CANARY })),
            call("add", json!({ "a": CANARY, "b": 1 })),
            call("add", json!({ "a": 1, "b": 1, "c": CANARY })),
        ];
        ask(mode, &server, &steps);
    }
    let (_, log) = server.terminate();
    assert!(!log.contains(CANARY), "{log}");
}

#[test]
fn a_stdio_server_stops_at_sigterm_although_its_client_stays() {
    let folder = tempdir().unwrap();
    let mut server = start_on_stdio(folder.path());
    let mut stdin = server.stdin.take().unwrap();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    let initialize = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        },
    });
    writeln!(stdin, "{initialize}").unwrap();
    let mut answer = String::new();
    stdout.read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["result"]["serverInfo"]["name"], "Quickstart");

    let status = terminate(&mut server);
    assert!(status.success(), "{status}");
    drop(stdin);
}

#[test]
fn a_stdio_line_that_is_no_message_is_answered_and_the_next_one_works() {
    let folder = tempdir().unwrap();
    let mut server = start_on_stdio(folder.path());
    let mut stdin = server.stdin.take().unwrap();
    let discover = json!({
        "jsonrpc": "2.0", "id": 1, "method": "server/discover",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        } },
    });
    writeln!(stdin, "not json\n{discover}").unwrap();
    drop(stdin);
    let output = server.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        answers
            .iter()
            .any(|answer| answer["error"]["code"] == -32700),
        "{text}"
    );
    assert!(
        answers.iter().any(|answer| answer["result"].is_object()),
        "{text}"
    );
}
