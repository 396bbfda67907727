//! A second process: this test binary once more, doing what its environment says.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use kv_core::{PutMode, Store};
use kv_disk::DiskStore;

use crate::support::{entry, value};

const FOLDER: &str = "KV_DISK_CHILD_FOLDER";
const SHARED: &str = "KV_DISK_CHILD_SHARED";

/// What the child's answers begin with, to tell them from the test harness's own lines.
const ANSWER: &str = "answer: ";

/// A process with the store open. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(folder: &Path, shared: bool) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::obey", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(SHARED, shared.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut process = Self {
            child,
            input,
            output,
        };
        assert_eq!(process.answer(), "ready");
        process
    }

    /// Gives an order without waiting for its answer.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.input, "{order}").unwrap();
    }

    pub(crate) fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it is gone");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[expect(clippy::print_stdout, reason = "it is how the child answers")]
fn say(answer: &str) {
    println!("\n{ANSWER}{answer}");
}

#[tokio::test]
#[ignore = "not a test: the second process of other tests"]
async fn obey() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let mut builder = DiskStore::builder(folder);
    if env::var(SHARED).is_ok_and(|shared| shared == "true") {
        builder = builder.shared();
    }
    let store = builder.build().unwrap();
    say("ready");
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let (verb, key) = order.split_once(' ').unwrap();
        let answer = match verb {
            "put" => store
                .put("c", key, entry("child"), PutMode::Overwrite)
                .await
                .map(|_| "done".to_owned()),
            "create" => store
                .put("c", key, entry("child"), PutMode::Create)
                .await
                .map(|_| "done".to_owned()),
            "take" => store
                .take("c", key)
                .await
                .map(|entry| entry.is_some().to_string()),
            "get" => store.get("c", key).await.map(|entry| match entry {
                None => "none".to_owned(),
                Some(entry) if entry.value == value("parent") => "parent".to_owned(),
                Some(_) => "child".to_owned(),
            }),
            "flood" => loop {
                let number = fastrand::u32(..1000);
                let flood = entry(&"x".repeat(2000));
                let key = format!("{key}{number}");
                store
                    .put("flood", &key, flood, PutMode::Overwrite)
                    .await
                    .unwrap();
            },
            other => panic!("no order {other}"),
        };
        say(&answer.unwrap_or_else(|error| error.to_string()));
    }
}
