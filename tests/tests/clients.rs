//! The clients that others use, against the example `everything`: the TypeScript SDKs v1 and v2, the
//! MCP Inspector, Python's FastMCP and its `mcp`, over HTTP and on stdio.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::python;
use crate::server_process::{ServerProcess, example};

const PNG: &str = "iVBORw0KGgo";

/// What each client does, in order.
fn steps() -> Vec<Value> {
    let arguments = json!({ "arg1": "a", "arg2": "b" });
    vec![
        json!(["list", "tools", {}]),
        json!(["call", "test_simple_text", {}]),
        json!(["call", "test_image_content", {}]),
        json!(["call", "test_error_handling", {}]),
        json!(["call", "test_tool_with_progress", {}]),
        json!(["call", "test_elicitation", { "message": "Who?" }]),
        json!(["read", "test://static-text", {}]),
        json!(["read", "test://static-binary", {}]),
        json!(["read", "test://template/7/data", {}]),
        json!(["prompt", "test_prompt_with_arguments", arguments]),
        json!(["complete", "test_prompt_with_arguments", { "name": "arg1", "value": "t" }]),
        json!(["call", "no such tool", {}]),
    ]
}

/// Checks what a client saw at each of the [`steps`].
fn check(client: &str, answers: &[Value]) {
    assert_eq!(answers.len(), steps().len(), "{client}: {answers:?}");
    let text = |at: usize| {
        answers[at]["ok"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
    };
    let names = answers[0]["ok"].as_array().expect(client).iter();
    let names: Vec<_> = names.filter_map(|tool| tool["name"].as_str()).collect();
    assert!(names.contains(&"test_simple_text"), "{client}: {names:?}");
    assert_eq!(
        text(1),
        "This is a simple text response for testing.",
        "{client}"
    );
    let structured = &answers[1]["ok"]["structuredContent"]["result"];
    assert_eq!(structured, text(1), "{client}");
    let image = &answers[2]["ok"]["content"][0];
    assert_eq!(image["mimeType"], "image/png", "{client}");
    assert!(image["data"].as_str().expect(client).starts_with(PNG));
    assert_eq!(answers[3]["ok"]["isError"], true, "{client}");
    let heard = answers[4]["ok"]["heard"].as_array().expect(client).iter();
    let heard: Vec<_> = heard.filter_map(Value::as_f64).collect();
    assert_eq!(heard, [0.0, 50.0, 100.0], "{client}");
    assert!(text(5).contains("ada@example.com"), "{client}: {}", text(5));
    assert!(
        answers[6]["ok"][0]["text"]
            .as_str()
            .expect(client)
            .contains("static text")
    );
    assert!(
        answers[7]["ok"][0]["blob"]
            .as_str()
            .expect(client)
            .starts_with(PNG)
    );
    assert!(
        answers[8]["ok"][0]["text"]
            .as_str()
            .expect(client)
            .contains(r#""id":"7""#)
    );
    let message = &answers[9]["ok"][0]["content"]["text"];
    assert_eq!(
        message, "Prompt with arguments: arg1='a', arg2='b'",
        "{client}"
    );
    assert_eq!(answers[10]["ok"], json!([]), "{client}");
    let refusal = answers[11]["error"].as_str().expect(client);
    assert!(
        refusal.contains("Unknown tool: 'no such tool'"),
        "{client}: {refusal}"
    );
}

/// Has `client` do its steps over HTTP and on stdio; it is given the target.
fn over_both(client: &str, run: impl Fn(&str) -> Vec<Value>) {
    let folder = tempdir().unwrap();
    let server = ServerProcess::start_example("everything", folder.path());
    check(client, &run(&server.url));
    let command = json!([example("everything"), "--transport", "stdio"]);
    check(client, &run(&command.to_string()));
}

fn node() -> Command {
    Command::new(kv_tests::workspace().join("dev/.venv-node/bin/node"))
}

fn typescript(sdk: &str) {
    over_both(sdk, |target| {
        let output = node()
            .arg(kv_tests::workspace().join("tests/tests/javascript/client.cjs"))
            .arg(kv_tests::workspace().join("dev/node"))
            .args([sdk, target, &Value::from(steps()).to_string()])
            .output()
            .expect("Node.js is there: run dev/node/install once");
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    });
}

#[test]
fn the_typescript_sdk_v1_uses_everything() {
    typescript("v1");
}

#[test]
fn the_typescript_sdk_v2_uses_everything() {
    typescript("v2");
}

#[test]
fn the_python_sdk_uses_everything_by_both_protocols() {
    for mode in ["auto", "legacy"] {
        over_both(mode, |target| {
            let script = kv_tests::workspace().join("tests/tests/python/sdk_client.py");
            let output = Command::new(kv_tests::python())
                .arg(script)
                .args([mode, target, &Value::from(steps()).to_string()])
                .output()
                .expect("the Python client starts");
            let errors = String::from_utf8_lossy(&output.stderr);
            serde_json::from_slice(&output.stdout)
                .unwrap_or_else(|error| panic!("{error}: {errors}"))
        });
    }
}

#[test]
fn the_python_fastmcp_client_calls_reads_and_renders_by_both_protocols() {
    for mode in ["auto", "legacy"] {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start_example("everything", folder.path());
        let steps = [
            json!(["call", "test_simple_text", {}]),
            json!(["call", "test_error_handling", {}]),
            json!(["read", "test://static-binary", {}]),
            json!(["prompt", "test_prompt_with_arguments", { "arg1": "a", "arg2": "b" }]),
        ];
        let answers = python::run(mode, &server.url, &steps, folder.path());
        let said = "This is a simple text response for testing.";
        assert_eq!(answers[0]["ok"]["text"], said, "{mode}");
        assert_eq!(answers[1]["ok"]["is_error"], true, "{mode}");
        let blob = answers[2]["ok"][0]["blob"].as_str().expect(mode);
        assert!(blob.starts_with(PNG));
        let message = &answers[3]["ok"]["messages"][0]["content"]["text"];
        assert_eq!(
            message, "Prompt with arguments: arg1='a', arg2='b'",
            "{mode}"
        );
    }
}

#[test]
fn the_python_fastmcp_client_calls_a_version_by_both_protocols() {
    for mode in ["auto", "legacy"] {
        let folder = tempdir().unwrap();
        let server = ServerProcess::start_example("everything", folder.path());
        let steps = [
            json!(["call", "greeting", { "name": "Ada" }]),
            json!(["call", "greeting", {}, "1.0"]),
            json!(["call", "greeting", {}, "3.0"]),
            json!(["list", "tools", {}]),
        ];
        let answers = python::run(mode, &server.url, &steps, folder.path());
        assert_eq!(answers[0]["ok"]["text"], "Good day, Ada!", "{mode}");
        assert_eq!(answers[1]["ok"]["text"], "Hello!", "{mode}");
        let refusal = answers[2]["error"].as_str().expect(mode);
        assert!(refusal.contains("in version 3.0"), "{mode}: {refusal}");
        let tools = answers[3]["ok"].as_array().expect(mode).iter();
        let greetings: Vec<_> = tools.filter(|tool| tool["name"] == "greeting").collect();
        let ours = &greetings[0]["_meta"]["fastmcp"];
        assert_eq!(ours["versions"], json!(["2.0", "1.0"]), "{mode}");
        assert_eq!(greetings.len(), 1, "{mode}");
    }
}

#[test]
fn the_inspector_lists_calls_reads_and_renders() {
    let folder = tempdir().unwrap();
    let server = ServerProcess::start_example("everything", folder.path());
    let inspect = |arguments: &[&str]| -> Value {
        let package = "dev/node/node_modules/@modelcontextprotocol/inspector";
        let output = node()
            .arg(
                kv_tests::workspace()
                    .join(package)
                    .join("clients/launcher/build/index.js"),
            )
            .args(["--cli", &server.url, "--method"])
            .args(arguments)
            .output()
            .expect("Node.js is there: run dev/node/install once");
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    };
    let tools = inspect(&["tools/list"]);
    assert!(tools["tools"].as_array().unwrap().len() > 20);
    let answer = inspect(&["tools/call", "--tool-name", "test_simple_text"]);
    assert_eq!(
        answer["structuredContent"]["result"],
        answer["content"][0]["text"]
    );
    let read = inspect(&["resources/read", "--uri", "test://static-text"]);
    assert_eq!(read["contents"][0]["mimeType"], "text/plain");
    let prompt = inspect(&["prompts/get", "--prompt-name", "test_simple_prompt"]);
    let said = &prompt["messages"][0]["content"]["text"];
    assert_eq!(said, "This is a simple prompt for testing.");
}
