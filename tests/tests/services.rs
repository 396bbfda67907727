//! The servers that the tests of the stores talk to.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use kv_tests::services::{self, RedisServer, SENTINEL_MASTER};

/// Sends a command without arguments, and returns the first line of the reply.
fn redis_reply(url: &str, command: &str) -> std::io::Result<String> {
    let address = url.trim_start_matches("redis://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(300)))?;
    writeln!(stream, "{command}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

#[tokio::test]
async fn the_shared_redis_answers() {
    assert_eq!(
        redis_reply(services::redis().await, "PING").unwrap(),
        "+PONG"
    );
}

/// Two test processes of one run, each followed by the list of the run's containers. Then the run
/// lasts until it is killed.
const RUN: &str = r#"
    for process in 1 2; do
        "$0" --exact services::the_shared_redis_answers >&2 || exit
        docker ps --quiet --filter "label=kv-tests.run=redis.$$"
    done
    read _
"#;

#[test]
fn the_tests_of_a_run_share_one_container_which_goes_when_the_run_ends() {
    let mut run = Command::new("sh")
        .args(["-c", RUN])
        .arg(env::current_exe().unwrap())
        .env_remove("KV_TEST_REDIS_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listed = BufReader::new(run.stdout.take().unwrap()).lines();
    let first = listed.next().expect("a test of the run failed").unwrap();
    let second = listed.next().expect("a test of the run failed").unwrap();
    assert_eq!(first, second);

    run.kill().unwrap();
    run.wait().unwrap();
    let end = Instant::now();
    while is_there(&first) {
        assert!(end.elapsed() < Duration::from_secs(20), "{first}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_there(container: &str) -> bool {
    let list = ["ps", "--all", "--quiet", "--filter"];
    let list = Command::new("docker")
        .args(list)
        .arg(format!("id={container}"))
        .output()
        .unwrap();
    assert!(list.status.success(), "{list:?}");
    !list.stdout.is_empty()
}

#[tokio::test]
async fn the_shared_dynamodb_answers() {
    // The service checks that a signature is there, not that it is right.
    let credential = "Credential=test/20260101/us-east-1/dynamodb/aws4_request";
    let answer = reqwest::Client::new()
        .post(services::dynamodb().await)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.ListTables")
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=00"),
        )
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert!(answer["TableNames"].is_array(), "{answer}");
}

#[test]
fn a_killed_redis_comes_back_with_its_data_on_the_same_port() {
    let mut server = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let url = server.url();
    assert_eq!(redis_reply(&url, "SET key value").unwrap(), "+OK");
    server.kill();
    assert!(redis_reply(&url, "PING").is_err());
    server.restart();
    assert_eq!(server.url(), url);
    assert_eq!(redis_reply(&url, "STRLEN key").unwrap(), ":5");
}

#[test]
fn a_suspended_redis_answers_when_it_is_resumed() {
    let server = RedisServer::start(&[]);
    server.suspend();
    assert!(redis_reply(&server.url(), "PING").is_err());
    server.resume();
    assert_eq!(redis_reply(&server.url(), "PING").unwrap(), "+PONG");
}

#[test]
fn the_arguments_of_a_redis_win_over_the_defaults() {
    let server = RedisServer::start(&["--requirepass", "secret"]);
    let reply = redis_reply(&server.url(), "PING").unwrap();
    assert!(reply.starts_with("-NOAUTH"), "{reply}");
}

#[test]
fn a_sentinel_knows_its_master() {
    let master = RedisServer::start(&[]);
    let sentinel = RedisServer::sentinel(&master, 1);
    let command = format!("SENTINEL get-master-addr-by-name {SENTINEL_MASTER}");
    assert_eq!(redis_reply(&sentinel.url(), &command).unwrap(), "*2");
}

#[test]
#[should_panic(expected = "redis-server does not serve")]
fn a_redis_that_cannot_start_fails_the_test_with_its_log() {
    let _server = RedisServer::start(&["--no-such-option", "1"]);
}
