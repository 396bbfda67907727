//! The Python FastMCP client, in a process of its own.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

/// A step of a client: a verb, the name it is about, and arguments.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is always made for the call"
)]
pub(crate) fn call(tool: &str, arguments: Value) -> Value {
    json!(["call", tool, arguments])
}

/// Runs `steps` with a client of the given mode, and returns the answers: `{"ok": ..}` or
/// `{"error": ..}`.
pub(crate) fn run(mode: &str, target: &str, steps: &[Value], folder: &Path) -> Vec<Value> {
    let script = kv_tests::workspace().join("tests/tests/python/client.py");
    let output = Command::new(kv_tests::python())
        .arg(script)
        .args([mode, target, &Value::from(steps).to_string()])
        .current_dir(folder)
        .output()
        .expect("the Python client starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the Python client failed; run dev/test once, which installs its libraries:\n{errors}"
    );
    serde_json::from_slice(&output.stdout).expect("the Python client prints JSON")
}
