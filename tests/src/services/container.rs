//! The containers that the tests of a run share.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::mem;
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testcontainers::core::ContainerPort;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::OnceCell;
use tokio::{task, time};

use crate::workspace;

const REDIS: Service = Service {
    name: "redis",
    image: ("redis", "7"),
    command: &["--protected-mode", "no", "--save", ""],
    port: 6379,
    probe: "PING\r\n",
};

const DYNAMODB: Service = Service {
    name: "dynamodb",
    image: ("amazon/dynamodb-local", "latest"),
    command: &[
        "-Djava.library.path=DynamoDBLocal_lib",
        "-jar",
        "DynamoDBLocal.jar",
        "-inMemory",
        "-sharedDb",
    ],
    port: 8000,
    probe: "GET / HTTP/1.0\r\n\r\n",
};

/// The label that says for which run a container was started.
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

const START_TIMEOUT: Duration = Duration::from_secs(60);
const START_POLL: Duration = Duration::from_millis(20);

/// How long a server may take to answer the probe. The proxy in front of a container accepts
/// connections before the server does.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that runs in a container.
struct Service {
    name: &'static str,
    /// Name and tag, as `dev/images` provides them.
    image: (&'static str, &'static str),
    command: &'static [&'static str],
    port: u16,
    /// What the server answers, whatever it says, as soon as it serves.
    probe: &'static str,
}

/// Returns the URL of the Redis that the tests of this run share, such as
/// `redis://127.0.0.1:32768`.
///
/// Other tests write to it at the same time: a test uses collections of its own, and neither
/// flushes nor configures the server. `KV_TEST_REDIS_URL` names a server to use instead of a
/// container.
///
/// # Panics
///
/// When the container does not start within 60 seconds; `dev/images` provides engine and image.
pub async fn redis() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(async || match env::var("KV_TEST_REDIS_URL") {
        Ok(url) => url,
        Err(_) => format!("redis://{}", REDIS.share().await),
    })
    .await
}

/// Returns the endpoint of the DynamoDB Local that the tests of this run share, such as
/// `http://127.0.0.1:32769`.
///
/// It takes any region and credentials, and has the same tables for all of them. Other tests
/// write to it at the same time: a test uses tables or collections of its own.
/// `KV_TEST_DYNAMODB_URL` names an endpoint to use instead of a container.
///
/// # Panics
///
/// When the container does not start within 60 seconds; `dev/images` provides engine and image.
pub async fn dynamodb() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    URL.get_or_init(async || match env::var("KV_TEST_DYNAMODB_URL") {
        Ok(url) => url,
        Err(_) => format!("http://{}", DYNAMODB.share().await),
    })
    .await
}

impl Service {
    /// Returns the `host:port` of this run's container, which it starts when there is none.
    ///
    /// A note in `dev/.images` holds the address, and its lock keeps the others waiting for the
    /// process that starts the container. A note with an address that does not answer is of an
    /// earlier run that had the same process id.
    async fn share(&self) -> String {
        let run = parent_id();
        let label = format!("{}.{run}", self.name);
        let path = workspace().join("dev/.images").join(&label);
        let mut note = {
            let path = path.clone();
            let opened = task::spawn_blocking(move || open_locked(&path)).await;
            let opened = opened.expect("opening does not panic");
            opened.expect("dev/.images is writable")
        };
        let mut address = String::new();
        note.read_to_string(&mut address).expect("the note is text");
        if !address.is_empty() && self.answers(&address) {
            return address;
        }
        remove_after(run, &format!("{LABEL}={label}"), &path);
        let (image, tag) = self.image;
        let started = GenericImage::new(image, tag)
            .with_exposed_port(ContainerPort::Tcp(self.port))
            .with_cmd(self.command.iter().copied())
            .with_label(LABEL, label)
            .with_host_config_modifier(|config| config.auto_remove = Some(true))
            .start()
            .await;
        let container = started.unwrap_or_else(|error| {
            panic!("{} does not start, run dev/images: {error}", self.name)
        });
        let address = time::timeout(START_TIMEOUT, self.address(&container)).await;
        let address = address.unwrap_or_else(|_| panic!("{} does not answer", self.name));
        rewrite(&mut note, &address).expect("dev/.images is writable");
        // Dropping it would remove the container, which is the watcher's to do.
        mem::forget(container);
        address
    }

    /// Waits until the server answers, and returns where.
    ///
    /// That is the loopback interface even in a container that has an engine of its own, where
    /// the library would name the engine's network.
    async fn address(&self, container: &ContainerAsync<GenericImage>) -> String {
        let port = container.get_host_port_ipv4(self.port).await;
        let port = port.expect("the port is published");
        let host = container.get_host().await.expect("the engine has a host");
        let addresses = [format!("127.0.0.1:{port}"), format!("{host}:{port}")];
        loop {
            if let Some(address) = addresses.iter().find(|address| self.answers(address)) {
                return address.clone();
            }
            time::sleep(START_POLL).await;
        }
    }

    fn answers(&self, address: &str) -> bool {
        let first_byte = || -> io::Result<()> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
            stream.write_all(self.probe.as_bytes())?;
            stream.read_exact(&mut [0])
        };
        first_byte().is_ok()
    }
}

/// Opens the note and locks it until the file, or the process, ends.
fn open_locked(path: &Path) -> io::Result<File> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let note = options.open(path)?;
    note.lock()?;
    Ok(note)
}

fn rewrite(note: &mut File, text: &str) -> io::Result<()> {
    note.set_len(0)?;
    note.rewind()?;
    note.write_all(text.as_bytes())
}

/// Starts the watcher, in a process group of its own: a signal for the run's does not end it.
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
