//! The Redis store through `Arc<dyn Store>` against redis-rs on a connection of the same kind, and
//! against Python's py-key-value.
//!
//! All read the same records of 1 KiB; redis-rs hands out their bytes unread. Server and clients
//! share the machine.
//!
//! Run with: cargo bench -p kv-bench --bench redis

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use kv_bench::{Figure, Goal, Python, compare_rates, value};
use kv_core::{Entry, PutMode, Store, Value};
use kv_redis::RedisStore;
use kv_tests::services::RedisServer;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, IntoConnectionInfo};
use tokio::runtime::{Builder, Runtime};

const COLLECTION: &str = "sessions";
const ENTRIES: usize = 10_000;
const ROUNDS: usize = 31;
/// How many keys a bulk read has, and how many of these a task does in a round.
const MANY: usize = 100;
const CALLS: usize = 200;
const PYTHON_TASKS: u64 = 64;
const PYTHON_ROUNDS: usize = 11;

fn main() {
    let server = RedisServer::start(&[]);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let store = RedisStore::new(server.url()).expect("the URL is right");
    let ours: Arc<dyn Store> = Arc::new(store);
    let theirs = runtime.block_on(connect(&server));
    runtime.block_on(fill(&*ours));

    for (tasks, operations) in [(1, 2000), (64, 20_000), (512, 40_000)] {
        let goal = if tasks == 64 {
            Goal::AtLeast(0.85)
        } else {
            Goal::Open
        };
        let figure = |name, against| Figure {
            name,
            against,
            size: tasks,
            goal,
        };
        let each = operations / tasks as usize;
        compare_rates(
            figure("redis: get", "redis-rs: GET"),
            ROUNDS,
            |_| rate(&runtime, tasks, each, || get_ours(Arc::clone(&ours), each)),
            |_| rate(&runtime, tasks, each, || get_theirs(theirs.clone(), each)),
        );
        compare_rates(
            Figure {
                goal: Goal::Open,
                ..figure("redis: put", "redis-rs: SET")
            },
            ROUNDS,
            |_| rate(&runtime, tasks, each, || put_ours(Arc::clone(&ours), each)),
            |_| rate(&runtime, tasks, each, || put_theirs(theirs.clone(), each)),
        );
    }
    for tasks in [1, 8] {
        let figure = Figure {
            name: "redis: get_many of 100",
            against: "redis-rs: MGET of 100",
            size: tasks,
            goal: Goal::AtLeast(0.7),
        };
        compare_rates(
            figure,
            ROUNDS,
            |_| rate(&runtime, tasks, CALLS, || get_many_ours(Arc::clone(&ours))),
            |_| rate(&runtime, tasks, CALLS, || get_many_theirs(theirs.clone())),
        );
    }
    let (entries, tasks) = (ENTRIES.to_string(), PYTHON_TASKS.to_string());
    let arguments = [&server.url(), COLLECTION, &entries, &tasks];
    let mut python = Python::start("redis_gets.py", &arguments);
    let figure = Figure {
        name: "redis: get",
        against: "py-key-value: get",
        size: PYTHON_TASKS,
        goal: Goal::AtLeast(15.0),
    };
    compare_rates(
        figure,
        PYTHON_ROUNDS,
        |_| {
            let each = 20_000 / PYTHON_TASKS as usize;
            rate(&runtime, PYTHON_TASKS, each, || {
                get_ours(Arc::clone(&ours), each)
            })
        },
        |_| python.rate("2000"),
    );
}

async fn connect(server: &RedisServer) -> MultiplexedConnection {
    let tcp = TcpSettings::default().set_nodelay(true);
    let url = format!("{}/?protocol=resp3", server.url());
    let info = url
        .as_str()
        .into_connection_info()
        .expect("the URL is right");
    let client = redis::Client::open(info.set_tcp_settings(tcp)).expect("the URL is right");
    let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(1024);
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .expect("the server is there")
}

async fn fill(store: &dyn Store) {
    for first in (0..ENTRIES).step_by(1000) {
        let entries = (first..first + 1000).map(|n| (key(n), entry(n as u64)));
        let written = store.put_many(COLLECTION, entries.collect()).await;
        written.expect("the server takes it");
    }
}

/// Runs `tasks` of `each` operations and returns the operations a second.
fn rate<F>(runtime: &Runtime, tasks: u64, each: usize, task: impl Fn() -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let start = Instant::now();
    runtime.block_on(async {
        let tasks = (0..tasks).map(|_| tokio::spawn(task()));
        for ended in join_all(tasks).await {
            ended.expect("no task panics");
        }
    });
    let took: Duration = start.elapsed();
    (tasks as usize * each) as f64 / took.as_secs_f64()
}

async fn get_ours(store: Arc<dyn Store>, operations: usize) {
    for _ in 0..operations {
        let read = store.get(COLLECTION, &any_key()).await;
        black_box(read.expect("the server answers"));
    }
}

async fn get_theirs(mut connection: MultiplexedConnection, operations: usize) {
    for _ in 0..operations {
        let mut get = redis::cmd("GET");
        get.arg(record(&any_key()));
        let read = connection.send_packed_command(&get).await;
        black_box(read.expect("the server answers"));
    }
}

async fn put_ours(store: Arc<dyn Store>, operations: usize) {
    // The store makes a record of its own of every write.
    let entry = entry(0);
    for _ in 0..operations {
        let key = any_key();
        let put = store.put(COLLECTION, &key, entry.clone(), PutMode::Overwrite);
        put.await.expect("the server takes it");
    }
}

async fn put_theirs(mut connection: MultiplexedConnection, operations: usize) {
    for n in 0..operations {
        let mut set = redis::cmd("SET");
        set.arg(format!("raw::{}", any_key()))
            .arg(&value(n as u64)[..]);
        let written = connection.send_packed_command(&set).await;
        written.expect("the server takes it");
    }
}

async fn get_many_ours(store: Arc<dyn Store>) {
    for _ in 0..CALLS {
        let keys: Vec<_> = (0..MANY).map(|_| any_key()).collect();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let read = store.get_many(COLLECTION, &keys).await;
        black_box(read.expect("the server answers"));
    }
}

async fn get_many_theirs(mut connection: MultiplexedConnection) {
    for _ in 0..CALLS {
        let mut get = redis::cmd("MGET");
        for _ in 0..MANY {
            get.arg(record(&any_key()));
        }
        let read = connection.send_packed_command(&get).await;
        black_box(read.expect("the server answers"));
    }
}

fn key(number: usize) -> String {
    format!("session-{number:08}")
}

fn any_key() -> String {
    key(fastrand::usize(..ENTRIES))
}

fn record(key: &str) -> String {
    format!("{COLLECTION}::{key}")
}

fn entry(number: u64) -> Entry {
    Entry::new(Value::from_json(value(number)).expect("it is an object"))
}
