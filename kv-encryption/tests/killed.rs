//! A rotation that is killed over and over, on a store on disk.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, io, thread};

use kv_core::{Entry, Store};
use kv_disk::DiskStore;
use kv_encryption::{FernetStore, KeyRing};
use tokio::runtime::Runtime;

use crate::support::{NEW, OLD, get, key, ring, value};

const ENTRIES: usize = 10_000;
const KILLS: usize = 50;

/// Where the child's store is, and the key that it makes the primary one.
const FOLDER: &str = "KV_ENCRYPTION_TEST_FOLDER";
const PRIMARY: &str = "KV_ENCRYPTION_TEST_PRIMARY";

/// The line that the child prints when it begins.
const BEGINS: &str = "@begins";

/// The child's whole program. A test run of its own does nothing.
#[test]
fn rotating_child() {
    let (Ok(folder), Ok(primary)) = (env::var(FOLDER), env::var(PRIMARY)) else {
        return;
    };
    let rotated = Runtime::new().unwrap().block_on(async {
        let store = open(Path::new(&folder), &primary);
        // Ends a line that the harness has begun.
        io::stdout()
            .write_all(format!("\n{BEGINS}\n").as_bytes())
            .unwrap();
        store.rotate(|_| {}).await.unwrap()
    });
    assert_eq!(rotated.failed, 0);
}

fn open(folder: &Path, primary: &str) -> FernetStore<DiskStore> {
    let retired = if primary == NEW { OLD } else { NEW };
    let keys = KeyRing::new(key(primary)).with_retired(key(retired));
    FernetStore::new(DiskStore::new(folder).unwrap(), keys)
}

fn spawn(folder: &Path, primary: &str) -> Child {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["killed::rotating_child", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(PRIMARY, primary)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(lines.any(|line| line == BEGINS), "the child ends early");
    child
}

#[test]
fn a_rotation_that_was_killed_50_times_comes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(folder.path(), OLD);
        let entries = (0..ENTRIES).map(|n| {
            let text = format!(r#"{{"n":{n}}}"#);
            (n.to_string(), Entry::new(value(&text)))
        });
        store.put_many("c", entries.collect()).await.unwrap();
    });

    let mut primary = NEW;
    let mut kills = 0;
    while kills < KILLS {
        let mut child = spawn(folder.path(), primary);
        thread::sleep(Duration::from_millis(fastrand::u64(..150)));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        match ended {
            None => kills += 1,
            Some(status) => {
                assert!(status.success(), "{status}");
                primary = if primary == NEW { OLD } else { NEW };
            }
        }
    }

    runtime.block_on(async {
        let store = open(folder.path(), primary);
        let rotation = store.rotate(|_| {}).await.unwrap();
        assert_eq!((rotation.seen(), rotation.failed), (ENTRIES as u64, 0));
    });
    runtime.block_on(async {
        let alone = FernetStore::new(DiskStore::new(folder.path()).unwrap(), ring(primary));
        for n in 0..ENTRIES {
            let read = get(&alone, "c", &n.to_string()).await.unwrap();
            assert_eq!(read, format!(r#"{{"n":{n}}}"#));
        }
    });
}
