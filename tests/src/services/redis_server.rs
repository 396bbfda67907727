//! A Redis server of a test's own, to be killed, suspended and restarted.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, iter, thread};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::workspace;

/// The name under which a [`RedisServer::sentinel`] knows its master.
pub const SENTINEL_MASTER: &str = "kv";

const START_TIMEOUT: Duration = Duration::from_secs(20);
const START_POLL: Duration = Duration::from_millis(5);

/// A `redis-server` process on the loopback interface, with a data folder of its own.
///
/// Dropping it kills the process and removes the folder.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    arguments: Vec<String>,
    port: u16,
    data: TempDir,
}

impl RedisServer {
    /// Starts a server on a free port, and returns when it serves.
    ///
    /// `arguments` join the command line and win over the defaults, which are: no password, and
    /// nothing is saved.
    ///
    /// # Panics
    ///
    /// When there is no `redis-server` program, or it does not serve within 20 seconds.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use kv_tests::services::RedisServer;
    ///
    /// let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    /// let url = server.url();
    /// server.kill();
    /// server.restart();
    /// assert_eq!(server.url(), url);
    /// ```
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let (port, data) = (free_port(), data_folder());
        let (port_text, folder) = (port.to_string(), data.path().display().to_string());
        let own = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--dir",
            &folder,
        ];
        let defaults = ["--save", "", "--appendonly", "no"];
        let arguments = own.iter().chain(&defaults).chain(arguments);
        Self::launch(arguments.map(ToString::to_string).collect(), port, data)
    }

    /// Starts a sentinel that watches `master` under the name [`SENTINEL_MASTER`], and returns
    /// when it serves.
    ///
    /// It takes a master for down after 500 ms of silence, and starts a failover when `quorum`
    /// sentinels agree.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    #[must_use]
    pub fn sentinel(master: &Self, quorum: u8) -> Self {
        let (port, data) = (free_port(), data_folder());
        let folder = data.path().display();
        let master = master.port;
        let configuration = format!(
            "port {port}\n\
             bind 127.0.0.1\n\
             dir {folder}\n\
             sentinel monitor {SENTINEL_MASTER} 127.0.0.1 {master} {quorum}\n\
             sentinel down-after-milliseconds {SENTINEL_MASTER} 500\n\
             sentinel failover-timeout {SENTINEL_MASTER} 2000\n"
        );
        let file = data.path().join("sentinel.conf");
        fs::write(&file, configuration).expect("a temporary folder is writable");
        Self::launch(
            vec![file.display().to_string(), "--sentinel".to_owned()],
            port,
            data,
        )
    }

    /// Returns `redis://127.0.0.1:PORT`; the port stays the same over restarts.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what the process has logged since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(log_file(&self.data)).unwrap_or_default()
    }

    /// Kills the process (SIGKILL), and returns when it is gone.
    pub fn kill(&mut self) {
        self.process
            .kill()
            .expect("the process is a child of this one");
        self.process
            .wait()
            .expect("the process is a child of this one");
    }

    /// Kills the process if it runs, starts it again on the same port and data folder, and returns
    /// when it serves.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start) does.
    pub fn restart(&mut self) {
        self.kill();
        self.process = run(&self.arguments, &self.data);
        self.wait_until_it_serves();
    }

    /// Suspends the process (SIGSTOP): connections stay open, and nothing is answered.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes a suspended process (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.process);
        kill_process(process, signal).expect("the process has not been waited for");
    }

    fn launch(arguments: Vec<String>, port: u16, data: TempDir) -> Self {
        let process = run(&arguments, &data);
        let mut server = Self {
            process,
            arguments,
            port,
            data,
        };
        server.wait_until_it_serves();
        server
    }

    /// The log tells it of every kind of server: with a password, with TLS, sentinels.
    fn wait_until_it_serves(&mut self) {
        let started = Instant::now();
        while !serves(&self.log()) {
            let ended = self
                .process
                .try_wait()
                .expect("the process is a child of this one");
            let late = started.elapsed() > START_TIMEOUT;
            assert!(
                ended.is_none() && !late,
                "redis-server does not serve:\n{}",
                self.log()
            );
            thread::sleep(START_POLL);
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Both fail only when the process is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a port of the loopback interface that nothing listens on, and 10,000 above it another
/// one, for the bus of a cluster node.
///
/// Both are below the range from which connections get theirs (from 32768): a client that tries
/// to connect to a dead server there could be given that very port, and be connected to itself.
///
/// # Panics
///
/// When 100 ports chosen at random are all taken.
#[must_use]
pub fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    iter::repeat_with(|| fastrand::u16(10_000..22_000))
        .take(100)
        .find(|port| free(port) && free(&(port + 10_000)))
        .expect("one of 100 ports is free")
}

fn data_folder() -> TempDir {
    tempfile::tempdir().expect("the temporary folder is writable")
}

fn log_file(data: &TempDir) -> PathBuf {
    data.path().join("server.log")
}

fn serves(log: &str) -> bool {
    log.contains("Ready to accept connections") || log.contains("Sentinel ID is")
}

fn run(arguments: &[String], data: &TempDir) -> Child {
    let log = File::create(log_file(data)).expect("the data folder is writable");
    let program = program();
    Command::new(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; dev/images installs it",
                program.display()
            )
        })
}

/// Prefers the program on the path to the one that `dev/images` provides.
fn program() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join("redis-server"))
        .find(|program| Path::exists(program))
        .unwrap_or_else(|| workspace().join("dev/.images/bin/redis-server"))
}
