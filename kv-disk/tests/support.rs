//! What the tests share.

use std::path::{Path, PathBuf};
use std::process::Command;

use kv_core::{Entry, PutMode, Result, Revision, Store, Value};
use kv_disk::DiskStore;
use tempfile::TempDir;

/// A folder that goes with the test.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn open(folder: &Path) -> DiskStore {
    DiskStore::new(folder).unwrap()
}

pub(crate) fn entry(text: &str) -> Entry {
    Entry::new(value(text))
}

pub(crate) fn value(text: &str) -> Value {
    Value::encode(&serde_json::json!({ "text": text })).unwrap()
}

pub(crate) async fn put(store: &impl Store, key: &str, text: &str) -> Result<Revision> {
    store.put("c", key, entry(text), PutMode::Overwrite).await
}

pub(crate) async fn get(store: &impl Store, key: &str) -> Option<Value> {
    store.get("c", key).await.unwrap().map(|entry| entry.value)
}

pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("store.redb")
}

/// A file system in memory, unmounted with the test.
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    /// Mounts one of `size` with `options`, such as `4m` and `rw`.
    pub(crate) fn mount(size: &str) -> Self {
        let folder = folder();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .status()
            .expect("this test needs the `mount` command");
        assert!(
            status.success(),
            "this test mounts a tmpfs: run it as root, in a container with CAP_SYS_ADMIN"
        );
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn make_read_only(&self) {
        let status = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(self.path())
            .status()
            .unwrap();
        assert!(status.success(), "the tmpfs could not be made read-only");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, as a failed test may still hold a file open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
