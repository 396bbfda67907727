//! The containers that the tests of a run share.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::mem;
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, Stdio};

use testcontainers::core::wait::HttpWaitStrategy;
use testcontainers::core::{ContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerRequest, GenericImage, ImageExt};
use tokio::sync::OnceCell;
use tokio::task;

use crate::workspace;

const REDIS_PORT: ContainerPort = ContainerPort::Tcp(6379);
const DYNAMODB_PORT: ContainerPort = ContainerPort::Tcp(8000);

/// The label of a container says for which run it was started.
const LABEL: &str = "kv-tests.run";

/// Waits until the run `$1` is over, then removes its containers that carry the label `$2`, and
/// the note `$3`.
const WATCHER: &str = r#"
    {
        while kill -0 "$1"; do sleep 1; done
        docker ps --all --quiet --filter "label=$2" | xargs docker rm --force --volumes
        rm "$3"
    } &
"#;

/// Returns the URL of the Redis that the tests of this run share, such as
/// `redis://127.0.0.1:32768`.
///
/// Other tests write to it at the same time: a test uses collections of its own, and neither
/// flushes nor configures the server. `KV_TEST_REDIS_URL` names a server to use instead of a
/// container.
///
/// # Panics
///
/// When the container does not start: `dev/images` makes engine and image.
pub async fn redis() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(async || {
        if let Ok(url) = env::var("KV_TEST_REDIS_URL") {
            return url;
        }
        let image = GenericImage::new("redis", "7")
            .with_exposed_port(REDIS_PORT)
            .with_wait_for(WaitFor::message_on_stdout("Ready to accept connections"))
            .with_cmd(["--protected-mode", "no", "--save", ""]);
        format!("redis://{}", share("redis", image, REDIS_PORT).await)
    })
    .await
}

/// Returns the endpoint of the DynamoDB Local that the tests of this run share, such as
/// `http://127.0.0.1:32769`.
///
/// It takes any region and credentials, and has the same tables for all of them. Other tests
/// write to it at the same time: a test uses a table or collections of its own.
/// `KV_TEST_DYNAMODB_URL` names an endpoint to use instead of a container.
///
/// # Panics
///
/// When the container does not start: `dev/images` makes engine and image.
pub async fn dynamodb() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(async || {
        if let Ok(url) = env::var("KV_TEST_DYNAMODB_URL") {
            return url;
        }
        // Any answer says that it listens; an unsigned request is answered with 400.
        let listens = HttpWaitStrategy::new("/")
            .with_port(DYNAMODB_PORT)
            .with_response_matcher(|_| true);
        let image = GenericImage::new("amazon/dynamodb-local", "latest")
            .with_exposed_port(DYNAMODB_PORT)
            .with_wait_for(WaitFor::http(listens))
            .with_cmd([
                "-Djava.library.path=DynamoDBLocal_lib",
                "-jar",
                "DynamoDBLocal.jar",
                "-inMemory",
                "-sharedDb",
            ]);
        format!("http://{}", share("dynamodb", image, DYNAMODB_PORT).await)
    })
    .await
}

/// Returns the `host:port` of the run's container for `service`; starts the container when there
/// is none.
///
/// A note in `dev/.images` holds the address, and its lock keeps the others waiting for the one
/// that starts the container. A note that nobody answers at is of an earlier run that had the
/// same process id.
async fn share(
    service: &str,
    image: ContainerRequest<GenericImage>,
    port: ContainerPort,
) -> String {
    let run = parent_id();
    let path = workspace().join(format!("dev/.images/{service}.{run}"));
    let mut note = {
        let path = path.clone();
        let opened = task::spawn_blocking(move || open_locked(&path)).await;
        opened
            .expect("opening does not panic")
            .expect("dev/.images is writable")
    };
    let mut address = String::new();
    note.read_to_string(&mut address).expect("the note is text");
    if !address.is_empty() && TcpStream::connect(&address).is_ok() {
        return address;
    }
    let label = format!("{service}.{run}");
    remove_after(run, &format!("{LABEL}={label}"), &path);
    let container = image
        .with_label(LABEL, label)
        .with_host_config_modifier(|config| config.auto_remove = Some(true))
        .start()
        .await
        .unwrap_or_else(|error| panic!("cannot start {service}, run dev/images: {error}"));
    let host = container
        .get_host()
        .await
        .expect("a running container has a host");
    let port = container
        .get_host_port_ipv4(port)
        .await
        .expect("the port is published");
    // The name may mean the IPv6 address, on which the engine may not have published the port.
    let host = host.to_string().replace("localhost", "127.0.0.1");
    let address = format!("{host}:{port}");
    note.set_len(0)
        .and_then(|()| note.rewind())
        .expect("the note is a file");
    note.write_all(address.as_bytes())
        .expect("the note is writable");
    // Dropping it would remove the container, which is the watcher's to do.
    mem::forget(container);
    address
}

/// Opens the note with its lock, which ends with the file, or with the process.
fn open_locked(path: &Path) -> io::Result<File> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut options = File::options();
    let note = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    note.lock()?;
    Ok(note)
}

/// Starts the watcher, which outlives this process and whatever signal ends its group.
fn remove_after(run: u32, label: &str, note: &Path) {
    let started = Command::new("sh")
        .args(["-c", WATCHER, "watcher", &run.to_string(), label])
        .arg(note)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
    assert!(
        started.is_ok_and(|status| status.success()),
        "sh cannot start the watcher"
    );
}
