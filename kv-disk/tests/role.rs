//! Processes of their own for the tests that kill one, limit one or need two: this test binary,
//! run again for one role.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use std::{env, fs, io, thread};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{child, crash, damage_sweep, processes};

/// Names the role of a process that is a child.
const ROLE: &str = "KV_DISK_TEST_ROLE";

/// The child's orders, as JSON.
const ORDERS: &str = "KV_DISK_TEST_ORDERS";

/// What a line that is a report starts with; the test harness prints others.
const MARK: char = '@';

const SIGKILL: i32 = 9;

/// How long a child may take for its first report on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The children's whole program. A test run of its own does nothing.
#[test]
fn child_process() {
    let Ok(role) = env::var(ROLE) else {
        return;
    };
    // Ends a line that the harness has begun.
    io::stdout().write_all(b"\n").unwrap();
    match role.as_str() {
        "crash" => crash::child(&orders()),
        "put_once" => crash::put_once(&orders::<PathBuf>()),
        "obey" => child::obey(&orders()),
        "damage" => damage_sweep::child(&orders()),
        "hold" => processes::hold(&orders::<PathBuf>()),
        "race" => processes::race_on_command(&orders::<PathBuf>()),
        "serve" => processes::serve(&orders::<PathBuf>()),
        role => panic!("unknown role {role}"),
    }
}

fn orders<T: DeserializeOwned>() -> T {
    serde_json::from_str(&env::var(ORDERS).unwrap()).unwrap()
}

/// Ends this process when its parent does, which closes the pipe. Only for children that read no
/// commands.
pub(crate) fn end_with_the_parent() {
    thread::spawn(|| {
        let _ = io::stdin().read_line(&mut String::new());
        process::exit(1);
    });
}

/// Sends a report to the parent, in one write: a line is never torn, also not by a kill.
pub(crate) fn report(report: &impl Serialize) {
    let line = format!("{MARK}{}\n", serde_json::to_string(report).unwrap());
    // The longest write to a pipe that the system keeps whole.
    assert!(line.len() <= 4096);
    io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Waits for the parent's next command; `None` when there will be none.
pub(crate) fn command<T: DeserializeOwned>() -> Option<T> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
}

/// A running child. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    commands: ChildStdin,
    reports: Receiver<String>,
    errors: PathBuf,
}

impl Child {
    /// Starts a child. What it prints as errors is kept in `scratch`.
    pub(crate) fn start(role: &str, orders: &impl Serialize, scratch: &Path) -> Self {
        let errors = scratch.join(format!("{role}-{:08x}.log", fastrand::u32(..)));
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["role::child_process", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, reports) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(report) = line.strip_prefix(MARK) {
                    // The test that has no more interest has ended.
                    let _ = sender.send(report.to_owned());
                }
            }
        });
        Self {
            commands: process.stdin.take().unwrap(),
            process,
            reports,
            errors,
        }
    }

    /// Sends a command.
    pub(crate) fn tell(&mut self, command: &impl Serialize) {
        let line = serde_json::to_string(command).unwrap();
        writeln!(self.commands, "{line}").unwrap();
    }

    /// Waits for the next report, or says why there was none.
    pub(crate) fn hear<T: DeserializeOwned>(&mut self, patience: Duration) -> Result<T, String> {
        match self.reports.recv_timeout(patience) {
            Ok(report) => Ok(serde_json::from_str(&report).unwrap()),
            Err(RecvTimeoutError::Timeout) => Err(format!("no report within {patience:?}")),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait().unwrap();
                Err(format!("ended with {status}: {}", self.errors()))
            }
        }
    }

    /// Kills the process with SIGKILL, and returns the reports that were not heard yet.
    ///
    /// # Panics
    ///
    /// When the process had ended by itself.
    pub(crate) fn kill<T: DeserializeOwned>(mut self) -> Vec<T> {
        let status = self.end();
        assert_eq!(status.signal(), Some(SIGKILL), "{}", self.errors());
        let reports = self.reports.iter();
        reports
            .map(|report| serde_json::from_str(&report).unwrap())
            .collect()
    }

    /// Returns the reports so far that were not heard yet.
    pub(crate) fn heard_so_far<T: DeserializeOwned>(&mut self) -> Vec<T> {
        let reports = self.reports.try_iter();
        reports
            .map(|report| serde_json::from_str(&report).unwrap())
            .collect()
    }

    /// Returns the end of what the child printed as errors.
    pub(crate) fn errors(&self) -> String {
        const LAST_BYTES: usize = 2000;
        let errors = fs::read(&self.errors).unwrap_or_default();
        let start = errors.len().saturating_sub(LAST_BYTES);
        String::from_utf8_lossy(&errors[start..]).into_owned()
    }

    fn end(&mut self) -> ExitStatus {
        // It may have ended by itself.
        let _ = self.process.kill();
        self.process.wait().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
