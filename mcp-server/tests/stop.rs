//! How `run` ends a process whose tool never returns. The server is this test binary, run again.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use clap::Parser;
use mcp_server::{Server, tool};
use rustix::process::{Pid, Signal, kill_process};

/// The file that the tool makes when it begins.
const BEGUN: &str = "MCP_TEST_BEGUN";

/// How long the process may take: the grace period of its calls, five seconds more, and time that
/// a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Never returns.
#[tool]
fn hang() -> String {
    std::fs::write(env::var(BEGUN).unwrap(), "").unwrap();
    loop {
        thread::park();
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    server: mcp_server::cli::Args,
}

#[test]
fn server_process() {
    if env::var(BEGUN).is_err() {
        return;
    }
    let server = Server::builder("hanging")
        .tool(hang)
        .shutdown_grace(Duration::from_millis(100))
        .build()
        .unwrap();
    let args = Cli::parse_from(["hanging"]).server;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(server.run_with(args)).unwrap();
}

/// Starts the server on stdio and calls its tool.
fn start(begun: &Path) -> Child {
    let server = Command::new(env::current_exe().unwrap())
        .args(["--exact", "stop::server_process", "--nocapture"])
        .env(BEGUN, begun)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = server.stdin.as_ref().unwrap();
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hang","arguments":{}}}"#,
    ] {
        writeln!(input, "{message}").unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while !begun.exists() {
        assert!(Instant::now() < deadline, "the tool was not called");
        thread::sleep(Duration::from_millis(10));
    }
    server
}

#[test]
fn a_tool_that_never_returns_does_not_keep_a_server_that_is_told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = start(&folder.path().join("begun"));
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = server.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            server.kill().unwrap();
            panic!("it goes on");
        }
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(1));
}
