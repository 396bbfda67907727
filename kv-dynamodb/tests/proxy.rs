//! [`Proxy`]: stands between a store and the service, and spoils what a test tells it to.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_tests::services;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is refused with this status and code, and not handed on.
    Refuse(u16, &'static str),
    /// It is handed on, and this is what the client is told.
    RefuseAfter(u16, &'static str),
    /// It is never answered, and not handed on.
    Silence,
    /// The connection ends before it is handed on.
    CutBefore,
    /// It is handed on, and the connection ends without an answer.
    CutAfter,
    /// It is handed on, and the connection ends in the middle of the answer.
    CutWithin,
    /// It is handed on, and answered so much later.
    Delay(Duration),
    /// Of a batch, so many are handed on, and the others left unprocessed.
    Partly(usize),
    /// It is answered with this status and body, and not handed on.
    Answer(u16, &'static str),
    /// It is handed on, and this text of the answer replaced by that.
    Replace(&'static str, &'static str),
}

#[derive(Debug, Default)]
struct Script {
    faults: HashMap<String, Vec<(usize, Fault)>>,
    arrived: HashMap<String, usize>,
    handed_on: HashMap<String, usize>,
    longest: HashMap<String, usize>,
    last: HashMap<String, Value>,
}

/// A proxy of the shared service.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    upstream: String,
    script: Arc<Mutex<Script>>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let upstream = services::dynamodb().await;
        let upstream = upstream.strip_prefix("http://").unwrap();
        let proxy = Self {
            // Not a port from which connections get theirs: a client that connects to it while
            // the proxy is down could be connected to itself.
            address: format!("127.0.0.1:{}", services::free_port()),
            upstream: upstream.trim_end_matches('/').to_owned(),
            script: Arc::default(),
            server: Mutex::default(),
        };
        proxy.up().await;
        proxy
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Spoils the next `times` requests of `operation`, after those already spoken for.
    pub(crate) fn spoil(&self, operation: &str, times: usize, fault: Fault) {
        let mut script = self.script.lock().unwrap();
        let faults = script.faults.entry(operation.to_owned()).or_default();
        faults.push((times, fault));
    }

    /// Spoils nothing any more.
    pub(crate) fn heal(&self) {
        self.script.lock().unwrap().faults.clear();
    }

    /// How many requests of `operation` have arrived here.
    pub(crate) fn arrived(&self, operation: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.arrived.get(operation).copied().unwrap_or(0)
    }

    /// How many requests of `operation` the service has been given.
    pub(crate) fn handed_on(&self, operation: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.handed_on.get(operation).copied().unwrap_or(0)
    }

    /// The length of the longest body of an `operation` that the service has been given.
    pub(crate) fn longest(&self, operation: &str) -> usize {
        self.script.lock().unwrap().longest[operation]
    }

    /// The last request of `operation` that the service has been given.
    pub(crate) fn last(&self, operation: &str) -> Value {
        self.script.lock().unwrap().last[operation].clone()
    }

    /// Ends all connections and takes no more.
    pub(crate) async fn down(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            // Its listener is closed when it has ended.
            server.await.ok();
        }
    }

    /// Takes connections, again on the same port.
    pub(crate) async fn up(&self) {
        let listener = TcpListener::bind(&self.address).await.unwrap();
        let (upstream, script) = (self.upstream.clone(), Arc::clone(&self.script));
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, script) = (upstream.clone(), Arc::clone(&script));
                connections.spawn(async move {
                    // A connection that breaks is what the tests are about.
                    serve(client, &upstream, &script).await.ok();
                });
            }
        });
        *self.server.lock().unwrap() = Some(server);
    }
}

/// A request or an answer.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut message = Self::read_head(stream).await?;
        let length = message.header("content-length").unwrap_or("0").parse();
        message.body.resize(length.map_err(io::Error::other)?, 0);
        stream.read_exact(&mut message.body).await?;
        Ok(message)
    }

    async fn read_head(stream: &mut TcpStream) -> io::Result<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).map_err(io::Error::other)?;
        Ok(Self {
            head,
            body: Vec::new(),
        })
    }

    /// Reads what ends with the connection.
    async fn read_whole(stream: &mut TcpStream) -> io::Result<Self> {
        let mut message = Self::read_head(stream).await?;
        stream.read_to_end(&mut message.body).await?;
        Ok(message)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = headers.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    }

    /// The bytes to send. What says something about the body is said anew.
    fn bytes(&self) -> Vec<u8> {
        const STALE: [&str; 4] = [
            "connection:",
            "content-length:",
            "transfer-encoding:",
            "x-amz-crc32:",
        ];
        let mut bytes = Vec::new();
        for line in self.head.lines().filter(|line| !line.is_empty()) {
            let lower = line.to_ascii_lowercase();
            if !STALE.iter().any(|name| lower.starts_with(name)) {
                bytes.extend_from_slice(line.as_bytes());
                bytes.extend_from_slice(b"\r\n");
            }
        }
        let length = self.body.len();
        bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn refusal(status: u16, code: &str) -> Self {
        let body = json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}") });
        Self {
            head: format!("HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\n"),
            body: body.to_string().into_bytes(),
        }
    }
}

async fn serve(mut client: TcpStream, upstream: &str, script: &Mutex<Script>) -> io::Result<()> {
    client.set_nodelay(true)?;
    loop {
        let mut request = Message::read(&mut client).await?;
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let fault = next_fault(script, &operation);
        let mut unprocessed = None;
        match &fault {
            Some(Fault::Refuse(status, code)) => {
                let answer = Message::refusal(*status, code);
                client.write_all(&answer.bytes()).await?;
                continue;
            }
            Some(Fault::Answer(status, body)) => {
                let mut answer = Message::refusal(*status, "");
                answer.body = body.as_bytes().to_vec();
                client.write_all(&answer.bytes()).await?;
                continue;
            }
            Some(Fault::Silence) => {
                sleep(Duration::from_secs(3600)).await;
            }
            Some(Fault::CutBefore) => return Ok(()),
            Some(Fault::Partly(processed)) => {
                unprocessed = Some(split(&operation, &mut request, *processed));
            }
            _ => {}
        }

        // What of a batch is not handed on at all is answered here.
        let mut answer = match &unprocessed {
            Some((_, true)) => Message {
                head: "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n".to_owned(),
                body: b"{}".to_vec(),
            },
            _ => {
                hand_on(script, operation, &request.body);
                // So that the answer is not in chunks.
                request.head = request.head.replacen("HTTP/1.1", "HTTP/1.0", 1);
                let mut service = TcpStream::connect(upstream).await?;
                service.write_all(&request.bytes()).await?;
                Message::read_whole(&mut service).await?
            }
        };
        if let Some((left, _)) = unprocessed {
            let mut body: Value = serde_json::from_slice(&answer.body)?;
            for (member, value) in left {
                body[member] = value;
            }
            answer.body = serde_json::to_vec(&body)?;
        }
        match fault {
            Some(Fault::CutAfter) => return Ok(()),
            Some(Fault::CutWithin) => {
                let bytes = answer.bytes();
                return client.write_all(&bytes[..bytes.len() - 1]).await;
            }
            Some(Fault::RefuseAfter(status, code)) => answer = Message::refusal(status, code),
            Some(Fault::Delay(delay)) => sleep(delay).await,
            Some(Fault::Replace(old, new)) => {
                let body = String::from_utf8(mem::take(&mut answer.body)).unwrap();
                answer.body = body.replace(old, new).into_bytes();
            }
            _ => {}
        }
        answer.head = answer.head.replacen("HTTP/1.0", "HTTP/1.1", 1);
        client.write_all(&answer.bytes()).await?;
    }
}

fn hand_on(script: &Mutex<Script>, operation: String, body: &[u8]) {
    let mut script = script.lock().unwrap();
    *script.handed_on.entry(operation.clone()).or_default() += 1;
    let longest = script.longest.entry(operation.clone()).or_default();
    *longest = body.len().max(*longest);
    script
        .last
        .insert(operation, serde_json::from_slice(body).unwrap_or_default());
}

fn next_fault(script: &Mutex<Script>, operation: &str) -> Option<Fault> {
    let mut script = script.lock().unwrap();
    *script.arrived.entry(operation.to_owned()).or_default() += 1;
    let faults = script.faults.get_mut(operation)?;
    let (times, fault) = faults.first_mut()?;
    let fault = fault.clone();
    *times -= 1;
    if *times == 0 {
        faults.remove(0);
    }
    Some(fault)
}

/// Leaves `processed` members of a batch in the request. Returns what the answer must say of the
/// others, and whether none is left.
fn split(
    operation: &str,
    request: &mut Message,
    processed: usize,
) -> (Vec<(&'static str, Value)>, bool) {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap();
    let tables = body["RequestItems"].as_object_mut().unwrap();
    let (table, members) = tables.iter_mut().next().unwrap();
    let table = table.clone();
    let is_read = operation == "BatchGetItem";
    let members = if is_read {
        &mut members["Keys"]
    } else {
        members
    };
    let members = members.as_array_mut().unwrap();
    let left = members.split_off(processed.min(members.len()));
    let none = members.is_empty();
    request.body = serde_json::to_vec(&body).unwrap();
    let mut said = Vec::new();
    if is_read {
        if none {
            said.push(("Responses", json!({})));
        }
        if !left.is_empty() {
            said.push(("UnprocessedKeys", json!({ table: { "Keys": left } })));
        }
    } else if !left.is_empty() {
        said.push(("UnprocessedItems", json!({ table: left })));
    }
    (said, none)
}
