//! A second process with a store, which does what it is told in words.

use std::path::{Path, PathBuf};

use kv_core::{PutMode, Store};
use kv_disk::DiskStore;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::role::{self, Child, PATIENCE};
use crate::support::{entry, value};

/// Which store the process has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    folder: PathBuf,
    shared: bool,
}

/// A process with the store open. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    _scratch: TempDir,
}

impl Process {
    pub(crate) fn start(folder: &Path, shared: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let orders = Orders {
            folder: folder.to_owned(),
            shared,
        };
        let mut process = Self {
            child: Child::start("obey", &orders, scratch.path()),
            _scratch: scratch,
        };
        assert_eq!(process.answer(), "ready");
        process
    }

    /// Gives an order without waiting for its answer.
    pub(crate) fn order(&mut self, order: &str) {
        self.child.tell(&order);
    }

    pub(crate) fn answer(&mut self) -> String {
        self.child.hear(PATIENCE).unwrap()
    }

    pub(crate) fn ask(&mut self, order: &str) -> String {
        self.order(order);
        self.answer()
    }

    pub(crate) fn kill(self) {
        self.child.kill::<String>();
    }
}

/// The second process.
pub(crate) fn obey(orders: &Orders) {
    Runtime::new().unwrap().block_on(async {
        let mut builder = DiskStore::builder(&orders.folder);
        if orders.shared {
            builder = builder.shared();
        }
        let store = builder.build().unwrap();
        role::report(&"ready");
        while let Some(order) = role::command::<String>() {
            let (verb, key) = order.split_once(' ').unwrap();
            let answer = match verb {
                "put" => store
                    .put("c", key, entry("child"), PutMode::Overwrite)
                    .await
                    .map(|_| "done".to_owned()),
                "create" => store
                    .put("c", key, entry("child"), PutMode::Create)
                    .await
                    .map(|_| "done".to_owned()),
                "take" => store
                    .take("c", key)
                    .await
                    .map(|entry| entry.is_some().to_string()),
                "get" => store.get("c", key).await.map(|entry| match entry {
                    None => "none".to_owned(),
                    Some(entry) if entry.value == value("parent") => "parent".to_owned(),
                    Some(_) => "child".to_owned(),
                }),
                "flood" => loop {
                    let number = fastrand::u32(..1000);
                    let flood = entry(&"x".repeat(2000));
                    let key = format!("{key}{number}");
                    store
                        .put("flood", &key, flood, PutMode::Overwrite)
                        .await
                        .unwrap();
                },
                other => panic!("no order {other}"),
            };
            role::report(&answer.unwrap_or_else(|error| error.to_string()));
        }
    });
}
