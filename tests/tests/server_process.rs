//! The servers of the examples, each in a process of its own.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server. Dropping it kills it.
pub(crate) struct ServerProcess {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) url: String,
}

impl ServerProcess {
    /// Starts the quickstart server over HTTP on a free port, with its store in `folder`.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts the quickstart server over HTTP on a free port, with more options.
    pub(crate) fn start_with(folder: &Path, options: &[&str]) -> Self {
        Self::spawn(Command::new(quickstart()).args(options), folder)
    }

    /// Starts another example over HTTP on a free port, in `folder`.
    pub(crate) fn start_example(name: &str, folder: &Path) -> Self {
        Self::spawn(&mut Command::new(example(name)), folder)
    }

    fn spawn(command: &mut Command, folder: &Path) -> Self {
        let mut child = command
            .args(["--port", "0"])
            .current_dir(folder)
            // What the local DynamoDB does not check and the SDK wants.
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("RUST_LOG", "trace")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut log = String::new();
        let url = loop {
            let start = log.len();
            let read = stderr.read_line(&mut log).expect("stderr is text");
            assert!(read > 0, "the server ended before it listened:\n{log}");
            if let Some((_, url)) = log[start..].split_once(" listens on ") {
                break url.trim().to_owned();
            }
        };
        Self { child, stderr, url }
    }

    /// Ends the server with SIGKILL, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the server is there to be killed");
        self.child.wait().expect("the server was killed");
    }

    /// Asks the server to stop, and returns how it ended and what it logged.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        let status = terminate(&mut self.child);
        let mut log = String::new();
        self.stderr
            .read_to_string(&mut log)
            .expect("stderr is text");
        (status, log)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends SIGTERM to a server, and waits until it has stopped.
pub(crate) fn terminate(server: &mut Child) -> ExitStatus {
    kill_process(Pid::from_child(server), Signal::TERM).expect("the server can be signalled");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = server.try_wait().expect("the server can be waited for") {
            return status;
        }
        assert!(
            Instant::now() < deadline,
            "the server did not stop within {PATIENCE:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the quickstart example's path.
pub(crate) fn quickstart() -> PathBuf {
    example("quickstart")
}

/// Returns an example's path: it is built beside the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("the test lies in target/<profile>/deps");
    let example = profile.join("examples").join(name);
    assert!(
        example.exists(),
        "the example is not built: cargo build -p mcp-server --example {name}"
    );
    example
}
