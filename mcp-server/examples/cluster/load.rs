//! Clients that call, and know what must come back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use mcp_server::BoxError;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::balancer::{Balancer, KILLED};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What has come of the calls.
#[derive(Debug, Default)]
pub(super) struct Report {
    calls: AtomicU64,
    questions: AtomicU64,
    /// Calls that were under way on an instance that was killed.
    cut: AtomicU64,
    failed: AtomicU64,
    wrong: AtomicU64,
    lost_writes: AtomicU64,
    lost_sessions: AtomicU64,
    /// In milliseconds.
    took: AtomicU64,
}

impl Report {
    pub(super) fn is_clean(&self) -> bool {
        [
            &self.failed,
            &self.wrong,
            &self.lost_writes,
            &self.lost_sessions,
        ]
        .iter()
        .all(|count| count.load(Ordering::SeqCst) == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let (calls, took) = (read(&self.calls), read(&self.took).max(1));
        writeln!(
            f,
            "calls          {calls} in {took} ms, {} a second",
            calls * 1000 / took
        )?;
        writeln!(f, "questions      {}", read(&self.questions))?;
        writeln!(f, "cut by a kill  {}", read(&self.cut))?;
        writeln!(f, "failed         {}", read(&self.failed))?;
        writeln!(f, "wrong answers  {}", read(&self.wrong))?;
        writeln!(f, "lost writes    {}", read(&self.lost_writes))?;
        write!(f, "lost sessions  {}", read(&self.lost_sessions))
    }
}

/// Makes so many calls, by so many clients at once.
pub(super) async fn run(balancer: &Balancer, clients: u64, calls: u64) -> Arc<Report> {
    let report = Arc::new(Report::default());
    let begun = Instant::now();
    let mut calling = JoinSet::new();
    for number in 0..clients {
        let share = calls / clients + u64::from(number < calls % clients);
        let (url, report) = (balancer.url(), Arc::clone(&report));
        calling.spawn(async move {
            let session = loop {
                match Session::open(&url).await {
                    Ok(session) => break session,
                    Err(Failure::Cut) => count(&report.cut),
                    Err(failure) => return report.fail("initialize", &failure),
                }
            };
            session.call(share, &report).await;
        });
    }
    calling.join_all().await;
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.took.store(took, Ordering::SeqCst);
    report
}

impl Report {
    fn fail(&self, what: &str, failure: &Failure) {
        match failure {
            Failure::Cut => count(&self.cut),
            Failure::Gone => {
                count(&self.lost_sessions);
                eprintln!("{what}: the session is gone");
            }
            Failure::Other(reason) => {
                count(&self.failed);
                eprintln!("{what}: {reason}");
            }
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

/// Why there is no answer.
enum Failure {
    /// The instance was killed.
    Cut,
    /// The session is unknown.
    Gone,
    Other(String),
}

impl From<BoxError> for Failure {
    fn from(error: BoxError) -> Self {
        Self::Other(error.to_string())
    }
}

/// A client with a session.
struct Session {
    client: Client,
    url: String,
    id: String,
}

impl Session {
    async fn open(url: &str) -> Result<Self, Failure> {
        let mut session = Self {
            client: Client::builder()
                .tcp_nodelay(true)
                .build()
                .map_err(BoxError::from)?,
            url: url.to_owned(),
            id: String::new(),
        };
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": { "elicitation": {} },
                "clientInfo": { "name": "load", "version": "1" },
            },
        });
        let answer = session.send(&initialize).await?;
        let id = answer.headers().get("mcp-session-id");
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        session.id = id.ok_or_else(|| Failure::Other("no session".to_owned()))?;
        answer.bytes().await.map_err(|_| Failure::Cut)?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        loop {
            match session.send(&initialized).await {
                Ok(_) => return Ok(session),
                // It may have arrived: twice does no harm.
                Err(Failure::Cut) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn send(&self, message: &Value) -> Result<Response, Failure> {
        let mut request: RequestBuilder = self
            .client
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .json(message);
        if !self.id.is_empty() {
            request = request.header("mcp-session-id", &self.id);
        }
        let answer = timeout(PATIENCE, request.send()).await;
        let answer = answer.map_err(|_| Failure::Other("no answer in time".to_owned()))?;
        let answer = answer.map_err(BoxError::from)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if answer.headers().contains_key(KILLED) {
            return Err(Failure::Cut);
        }
        if status == 404 {
            return Err(Failure::Gone);
        }
        let text = answer.text().await.unwrap_or_default();
        Err(Failure::Other(format!("{status}: {text}")))
    }

    /// Calls a tool, answers what it asks, and returns its result.
    async fn tool(&self, id: u64, tool: &str, arguments: &Value) -> Result<Value, Failure> {
        let call = json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments },
        });
        let answered = timeout(PATIENCE, self.follow(&call, id));
        let answered = answered.await.ok();
        answered.ok_or_else(|| Failure::Other(format!("{tool} takes too long")))?
    }

    async fn follow(&self, call: &Value, id: u64) -> Result<Value, Failure> {
        let mut pieces = self.send(call).await?.bytes_stream();
        let mut buffer = String::new();
        while let Some(piece) = pieces.next().await {
            // The stream breaks when the instance is killed.
            let piece = piece.map_err(|_| Failure::Cut)?;
            buffer += std::str::from_utf8(&piece).map_err(BoxError::from)?;
            while let Some((line, rest)) = buffer.split_once('\n') {
                let message = line.strip_prefix("data: ").filter(|it| it.starts_with('{'));
                let message: Option<Value> = message.and_then(|it| serde_json::from_str(it).ok());
                buffer = rest.to_owned();
                match message {
                    Some(asked) if asked["method"] == "elicitation/create" => {
                        self.answer(&asked).await?;
                    }
                    Some(mut answer) if answer["id"] == id => {
                        return Ok(answer["result"]["structuredContent"]["result"].take());
                    }
                    _ => {}
                }
            }
        }
        Err(Failure::Cut)
    }

    /// Answers a question with its own words.
    async fn answer(&self, asked: &Value) -> Result<(), Failure> {
        let answer = json!({
            "jsonrpc": "2.0", "id": asked["id"],
            "result": {
                "action": "accept",
                "content": { "value": asked["params"]["message"] },
            },
        });
        loop {
            match self.send(&answer).await {
                Ok(_) => return Ok(()),
                // Two answers are one.
                Err(Failure::Cut) => {}
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn call(&self, calls: u64, report: &Report) {
        let (mut confirmed, mut attempts) = (0_u64, 0_u64);
        for number in 1..=calls {
            count(&report.calls);
            if number % 50 == 0 {
                count(&report.questions);
                self.ask_two(number, report).await;
            } else if number % 2 == 0 {
                let text = format!("{} {number}", self.id);
                match self.tool(number, "echo", &json!({ "text": text })).await {
                    Ok(said) if said == text => {}
                    Ok(said) => {
                        count(&report.wrong);
                        eprintln!("echo of {text:?}: {said}");
                    }
                    Err(failure) => report.fail("echo", &failure),
                }
            } else {
                attempts += 1;
                match self.tool(number, "count", &json!({})).await {
                    Ok(counted) => {
                        let counted = counted.as_u64().unwrap_or_default();
                        if counted <= confirmed {
                            count(&report.lost_writes);
                            eprintln!("count: {counted} after {confirmed}");
                        } else if counted > confirmed + attempts {
                            count(&report.wrong);
                            eprintln!("count: {counted} after {confirmed} and {attempts} calls");
                        }
                        (confirmed, attempts) = (counted, 0);
                    }
                    Err(failure) => report.fail("count", &failure),
                }
            }
        }
    }

    /// Has two tools ask at the same time.
    async fn ask_two(&self, number: u64, report: &Report) {
        let ask = async |id: u64| {
            let question = format!("{} {id}", self.id);
            let arguments = json!({ "question": question });
            match self.tool(id, "ask", &arguments).await {
                Ok(said) if said == question => {}
                Ok(said) => {
                    count(&report.wrong);
                    eprintln!("ask {question:?}: {said}");
                }
                Err(failure) => report.fail("ask", &failure),
            }
        };
        tokio::join!(ask(number), ask(number + 1_000_000));
    }
}
