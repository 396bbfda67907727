//! `tools/call` over streamable HTTP: our server against bare rmcp, against Python's FastMCP, and
//! against itself with 1,000 tools. Each server is a process of its own, and `wrk` is the load.
//!
//! Run with: cargo bench -p kv-bench --bench http

use std::borrow::Cow;
use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use axum::Router;
use axum::serve::ListenerExt as _;
use kv_bench::{Figure, Goal, compare_rates};
use mcp_server::{Server, ToolExt as _, Transport, tool};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::json;
use tempfile::TempDir;

const ROUNDS: usize = 7;
const CONNECTIONS: u64 = 8;
/// How long a round is.
const SECONDS: &str = "10s";

/// The request of protocol 2026-07-28, for wrk.
const REQUEST: &str = r#"
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, text/event-stream"
wrk.headers["MCP-Protocol-Version"] = "2026-07-28"
wrk.headers["Mcp-Method"] = "tools/call"
wrk.headers["Mcp-Name"] = "add"
wrk.body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":2},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}}}'
done = function(summary, latency, requests)
  local wrong = summary.errors.status + summary.errors.read + summary.errors.timeout
  io.write(string.format("figures %f %d %d %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), wrong))
end
"#;

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, serve, kind, port] = &*arguments
        && serve == "--serve"
    {
        return self::serve(kind, port.parse().expect("it is a port"));
    }
    let folder = TempDir::new().expect("there is room");
    let script = folder.path().join("request.lua");
    fs::write(&script, REQUEST).expect("there is room");
    let script = script.to_str().expect("it is UTF-8");
    let program = env::current_exe().expect("it has a path");
    let rust = |kind| Process::start(Command::new(&program).args(["--serve", kind]));

    let figure = |against, goal| Figure {
        name: "tools/call",
        against,
        size: CONNECTIONS,
        goal,
    };
    let ours = rust("ours");
    for (other, against, rounds, goal) in [
        (rust("rmcp"), "rmcp", ROUNDS, Goal::AtLeast(0.85)),
        // Twice the same, for the noise.
        (rust("ours"), "another like it", ROUNDS, Goal::Open),
        (
            rust("many"),
            "ours of 1,000 tools",
            ROUNDS,
            Goal::AtMost(1.1),
        ),
        (Process::python(), "Python FastMCP", 1, Goal::AtLeast(20.0)),
    ] {
        compare_rates(
            figure(against, goal),
            rounds,
            |_| ours.load(script),
            |_| other.load(script),
        );
        other.report(against);
    }
    ours.report("ours");
}

/// A server in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
    /// The median and the 99th percentile of each round, in microseconds.
    latencies: RefCell<Vec<[u64; 2]>>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let child = command
            .arg(address.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it listens");
            sleep(Duration::from_millis(20));
        }
        Self {
            child,
            address,
            latencies: RefCell::default(),
        }
    }

    fn python() -> Self {
        let script = kv_tests::workspace().join("dev/bench/python/mcp_server.py");
        Self::start(Command::new(kv_tests::python()).arg(script))
    }

    /// Loads it for a round, and returns how many requests a second it answered.
    fn load(&self, script: &str) -> f64 {
        let output = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{CONNECTIONS}"),
                "-d",
                SECONDS,
                "-s",
                script,
            ])
            .arg(format!("http://{}/mcp", self.address))
            .output()
            .expect("wrk is there: apt-get install wrk");
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().find_map(|line| line.strip_prefix("figures "));
        let figures = figures.expect("wrk tells figures").split(' ');
        let figures: Vec<f64> = figures.filter_map(|it| it.parse().ok()).collect();
        let [rate, p50, p99, wrong] = *figures else {
            panic!("{text}")
        };
        assert!(wrong == 0.0, "{text}");
        self.latencies.borrow_mut().push([p50 as u64, p99 as u64]);
        rate
    }

    /// Prints latencies and the memory in use.
    #[expect(clippy::print_stdout, reason = "the figures are the output")]
    fn report(&self, name: &str) {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let latencies = self.latencies.borrow();
        let median = |which: usize| {
            let mut values: Vec<_> = latencies.iter().map(|round| round[which]).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        println!(
            "    {name}: p50 {} us, p99 {} us, RSS {}",
            median(0),
            median(1),
            memory.unwrap_or_default().trim()
        );
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::main(worker_threads = 2)]
async fn serve(kind: &str, port: u16) {
    if kind == "rmcp" {
        return serve_bare(port).await;
    }
    let mut server = Server::builder("bench").tool(add);
    if kind == "many" {
        for n in 1..1000 {
            server = server.tool(add.renamed(format!("add_{n}")));
        }
    }
    let server = server.build().expect("the tools are right");
    let host = Ipv4Addr::LOCALHOST.to_string();
    let served = server.serve(Transport::Http { host, port }).await;
    served.expect("the port is free");
}

/// Adds two numbers.
#[tool]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

/// The same tool on rmcp alone, with the settings that our server gives it.
async fn serve_bare(port: u16) {
    let config = StreamableHttpServerConfig::default()
        .with_json_response(true)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let sessions = Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Bare), sessions, config);
    let router = Router::new().route_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.expect("the port is free").tap_io(|stream| {
        stream.set_nodelay(true).expect("it is TCP");
    });
    axum::serve(listener, router).await.expect("it serves");
}

#[derive(Clone)]
struct Bare;

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _cx: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let number = json!({ "type": "integer" });
        let schema = json!({
            "type": "object",
            "properties": { "a": number, "b": number },
            "required": ["a", "b"],
        });
        let schema = schema.as_object().cloned().unwrap_or_default();
        let tool = Tool::new(Cow::Borrowed("add"), "Adds two numbers.", Arc::new(schema));
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        _cx: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = params.arguments.unwrap_or_default();
        let number = |name| arguments.get(name).and_then(serde_json::Value::as_i64);
        let (Some(a), Some(b)) = (number("a"), number("b")) else {
            return Err(ErrorData::invalid_params("a and b are integers", None));
        };
        let mut result = CallToolResult::success(vec![ContentBlock::text((a + b).to_string())]);
        result.structured_content = Some(json!({ "result": a + b }));
        Ok(CallToolResponse::Complete(result))
    }
}
