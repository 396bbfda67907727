//! One instance of the server, and the processes that run it.

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mcp_server::{BoxError, Context, Server, ToolError, Transport, logging, storage, tool};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{interval, timeout};

use super::balancer::{Addresses, Balancer};

/// How long an instance may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts the calls of the session.
#[tool]
async fn count(cx: Context) -> Result<u64, ToolError> {
    let count = |count: Option<u64>| count.unwrap_or_default() + 1;
    Ok(cx.session_state().update("count", count).await?)
}

/// Says it again.
#[tool(annotations(read_only))]
async fn echo(text: String) -> String {
    text
}

/// Asks for a word, and says it.
#[tool]
async fn ask(cx: Context, question: String) -> Result<String, ToolError> {
    let word = cx.elicit::<String>(question).await?;
    word.accepted()
        .ok_or_else(|| ToolError::new("nothing was said"))
}

/// Serves on a free port, which the first line of the output tells.
pub(super) async fn serve(storage: &str) -> mcp_server::Result<()> {
    logging::init();
    Server::builder("Cluster")
        .storage(storage::open(storage)?)
        .tool(count)
        .tool(echo)
        .tool(ask)
        .build()?
        .serve(Transport::Http {
            host: "127.0.0.1".to_owned(),
            port: 0,
        })
        .await
}

/// The processes, by number.
pub(super) struct Instances {
    storage: String,
    running: BTreeMap<usize, (Child, SocketAddr)>,
}

impl Instances {
    pub(super) async fn start(instances: usize, storage: &str) -> Result<Self, BoxError> {
        let mut running = BTreeMap::new();
        for number in 0..instances {
            running.insert(number, start(storage).await?);
        }
        let storage = storage.to_owned();
        Ok(Self { storage, running })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let running = self.running.iter();
        let addresses = running.map(|(number, (_, address))| (*number, *address));
        Arc::new(std::sync::RwLock::new(addresses.collect()))
    }

    /// Kills one after the other, and starts another in its place.
    pub(super) async fn kill_one_every(
        mut self,
        every: Duration,
        balancer: Balancer,
    ) -> Result<(), BoxError> {
        if every.is_zero() {
            std::future::pending::<()>().await;
        }
        let mut ticks = interval(every);
        ticks.tick().await;
        loop {
            for number in 0..self.running.len() {
                ticks.tick().await;
                if let Some((mut process, address)) = self.running.remove(&number) {
                    balancer.killed(address);
                    process.kill().await?;
                }
                let (process, address) = start(&self.storage).await?;
                balancer.replace(number, address);
                self.running.insert(number, (process, address));
            }
        }
    }
}

async fn start(storage: &str) -> Result<(Child, SocketAddr), BoxError> {
    let mut process = Command::new(env::current_exe()?)
        .args(["--instance", "--storage", storage])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stderr = process.stderr.take().ok_or("stderr is piped")?;
    let mut lines = BufReader::new(stderr).lines();
    let listening = async {
        while let Some(line) = lines.next_line().await? {
            if let Some((_, url)) = line.split_once(" listens on http://") {
                let address = url.split('/').next().unwrap_or(url);
                return Ok::<_, BoxError>(address.parse()?);
            }
            eprintln!("{line}");
        }
        Err("an instance ended before it listened".into())
    };
    let address = timeout(PATIENCE, listening).await??;
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(" WARN ") || line.contains(" ERROR ") || line.contains("panicked") {
                eprintln!("{line}");
            }
        }
    });
    Ok((process, address))
}
