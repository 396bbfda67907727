//! The official MCP conformance suite, in the two versions that `dev/node/install` installs,
//! against the example `everything`. A scenario that fails or warns and is not in
//! `dev/node/conformance.yml` fails the test, and so does one that is there and passes. Also the suite's
//! scenarios for clients, against the example `client`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::tempdir;

use crate::server_process::{ServerProcess, example};

/// Runs the suite and prints its counts, of which `scenarios` is the total: a suite that finds
/// nothing to try has nothing against any server.
#[expect(clippy::print_stdout, reason = "the counts, for the log of a run")]
fn run(version: &str, options: &[&str], scenarios: usize) {
    let dev = kv_tests::workspace().join("dev");
    let suite = dev.join("node");
    let folder = tempdir().unwrap();
    let server = ServerProcess::start_example("everything", folder.path());
    let results = folder.path().join("results");
    let output = Command::new(dev.join(".venv-node/bin/node"))
        .arg(suite.join(format!("node_modules/{version}/dist/index.js")))
        .args(["server", "--url", &server.url, "--expected-failures"])
        .arg(suite.join("conformance.yml"))
        .arg("--output-dir")
        .arg(&results)
        .args(options)
        .output()
        .expect("the suite is there: run dev/node/install once");
    let (mut tried, mut complaints) = (0, Vec::new());
    for result in fs::read_dir(&results).unwrap() {
        tried += 1;
        complaints.extend(complaint(&result.unwrap().path()));
    }
    let passed = tried - complaints.len();
    let leg = format!("{version} {}", options.join(" "));
    println!("{leg}: {passed} of {tried} scenarios pass");
    let log = String::from_utf8_lossy(&output.stdout);
    let verdict = log.split_once("\nTotal: ").map_or(&*log, |split| split.1);
    assert!(
        output.status.success(),
        "{leg} is not as dev/node/conformance.yml says.\n{}\nTotal: {verdict}{}",
        complaints.concat(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(tried, scenarios, "{leg} has not tried what it did before");
}

/// Returns what the suite says against the server in one scenario, if anything.
fn complaint(result: &Path) -> Option<String> {
    let checks = fs::read_to_string(result.join("checks.json")).unwrap();
    let checks: Vec<Value> = serde_json::from_str(&checks).unwrap();
    let mut text = String::new();
    for check in checks {
        let status = check["status"].as_str().unwrap();
        if ["FAILURE", "WARNING"].contains(&status) {
            let (id, message) = (&check["id"], &check["errorMessage"]);
            text += &format!("  {status} {id}: {message}\n");
        }
    }
    let scenario = result.file_name().unwrap().to_string_lossy();
    (!text.is_empty()).then(|| format!("{scenario}\n{text}"))
}

#[test]
fn the_stable_suite_is_as_the_baseline_says() {
    run("conformance-stable", &["--suite", "all"], 32);
}

#[test]
fn the_requirements_of_2025_11_25_are_as_the_baseline_says() {
    run("conformance-alpha", &["--requirements", "2025-11-25"], 33);
}

#[test]
fn the_requirements_of_2026_07_28_are_as_the_baseline_says() {
    run("conformance-alpha", &["--requirements", "2026-07-28"], 50);
}

#[test]
fn the_whole_alpha_suite_is_as_the_baseline_says() {
    run("conformance-alpha", &["--suite", "all"], 65);
}

/// Has the suite try the example `client` in scenarios, by a revision of the protocol.
fn run_client(options: &str, revision: &str, scenarios: &[&str]) {
    let dev = kv_tests::workspace().join("dev");
    let client = example("client");
    let suite = dev.join("node/node_modules/conformance-alpha/dist/index.js");
    for scenario in scenarios {
        let folder = tempdir().unwrap();
        let output = Command::new(dev.join(".venv-node/bin/node"))
            .arg(&suite)
            .args(["client", "--scenario", scenario, "--spec-version", revision])
            .arg("--command")
            .arg(format!("{} {options}", client.display()))
            .arg("--output-dir")
            .arg(folder.path())
            .output()
            .expect("the suite is there: run dev/node/install once");
        // Where it prints what it found.
        let said = String::from_utf8_lossy(&output.stderr);
        let passed = output.status.success() && said.contains("OVERALL: PASSED");
        assert!(passed, "{scenario} of {revision}: {said}");
    }
}

#[test]
fn the_client_passes_the_scenarios_of_2025_11_25_that_need_no_login() {
    let scenarios = [
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ];
    run_client("--handshake", "2025-11-25", &scenarios);
}

#[test]
fn the_client_passes_the_scenarios_of_2026_07_28_that_need_no_login() {
    let scenarios = [
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ];
    run_client("", "2026-07-28", &scenarios);
}
