//! The child: opens a damaged file, uses all of it and says what it found.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kv_core::{Entry, Error, KeyQuery, PutMode, Result, Store, Value};
use kv_disk::DiskStore;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::file::{Damage, LAST, Setup, expired};
use crate::role;

/// How much memory a child may have.
const MEMORY_BYTES: u64 = 2 << 30;

/// What a child examines: damages of one file, each sent as a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) setup: Setup,
    /// The folder with the whole files.
    pub(crate) original: PathBuf,
    pub(crate) scratch: PathBuf,
}

/// One damage to examine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) damage: Damage,
    /// Whether to write before the integrity check, which may hide damage from it.
    pub(crate) write_first: bool,
}

/// What a store on a damaged file did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Why it did not open.
    pub(crate) refused: Option<String>,
    /// How many names were right, counting the last one with an older value.
    pub(crate) right: usize,
    /// How many names were absent that should be there, in a read or in the listings.
    pub(crate) missing: usize,
    /// The same, after the integrity check.
    pub(crate) missing_after_check: usize,
    /// How many operations reported damage.
    pub(crate) reported: usize,
    /// The result of the integrity check when it found nothing: whether all was in order.
    pub(crate) intact: Option<bool>,
    /// What should never happen.
    pub(crate) faults: Vec<String>,
}

/// A child that examines what it is told to.
pub(crate) fn child(orders: &Orders) {
    let limit = Some(MEMORY_BYTES);
    let limit = Rlimit {
        current: limit,
        maximum: limit,
    };
    setrlimit(Resource::As, limit).unwrap();
    let damaged = orders.setup.damaged.file_name();
    let original = fs::read(orders.original.join(damaged)).unwrap();
    let expected = orders.setup.expected();
    let runtime = Runtime::new().unwrap();
    while let Some(case) = role::command::<Case>() {
        let folder = tempfile::tempdir_in(&orders.scratch).unwrap();
        let store = orders.setup.open(folder.path());
        for file in fs::read_dir(&orders.original).unwrap() {
            let file = file.unwrap();
            if file.file_name() == damaged {
                case.damage.apply(&original, &folder.path().join(damaged));
            } else {
                fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
            }
        }
        let mut examiner = Examiner {
            store,
            expected: &expected,
            verified: orders.setup.verify,
            findings: Findings::default(),
        };
        runtime.block_on(examiner.run(&case));
        let Examiner {
            store, findings, ..
        } = examiner;
        drop(store);
        role::report(&findings);
    }
}

type Names = BTreeMap<(String, String), Vec<Value>>;

struct Examiner<'a> {
    store: DiskStore,
    expected: &'a Names,
    verified: bool,
    findings: Findings,
}

impl Examiner<'_> {
    async fn run(&mut self, case: &Case) {
        if let Err(error) = self.store.open().await {
            let text = format!("{error}: {error:?}");
            let is_file = !matches!(case.damage, Damage::Folder | Damage::Fifo);
            let reported = match error {
                Error::Corrupted { .. } => true,
                // What is read unverified may say that a newer version wrote the file.
                Error::Unsupported { .. } => !self.verified,
                _ => false,
            };
            if is_file && !reported {
                self.findings.faults.push(text.clone());
            }
            self.findings.refused = Some(text);
            return;
        }
        let (right, missing) = self.read_all().await;
        (self.findings.right, self.findings.missing) = (right, missing);
        if case.write_first {
            self.write().await;
        }
        let checked = self.store.check_integrity().await;
        self.findings.intact = self.expect(checked);
        (_, self.findings.missing_after_check) = self.read_all().await;
        if !case.write_first {
            self.write().await;
            self.read_all().await;
        }
    }

    /// Returns the answer, after noting how the call failed if it did.
    fn expect<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(answer) => return Some(answer),
            Err(error) if reports_damage(&error) => self.findings.reported += 1,
            Err(error) => self.findings.faults.push(format!("{error}: {error:?}")),
        }
        None
    }

    /// Reads every entry and lists all names. Returns how many are right, and how many missing.
    async fn read_all(&mut self) -> (usize, usize) {
        let (mut right, mut missing) = (0, 0);
        let mut collections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((collection, key), values) in self.expected {
            collections.entry(collection).or_default().push(key);
            let entry = self.store.get(collection, key).await;
            match self.expect(entry) {
                Some(Some(entry)) if self.is_right(&entry, values) => right += 1,
                Some(Some(_)) => {
                    let fault = format!("a wrong value of {key} in {collection}");
                    self.findings.faults.push(fault);
                }
                Some(None) => missing += 1,
                None => {}
            }
        }
        for (collection, key) in expired() {
            let entry = self.store.get(&collection, &key).await;
            if let Some(Some(_)) = self.expect(entry) {
                self.findings.faults.push(format!("{key} has come back"));
            }
        }
        let listed = self.list_collections().await;
        for (collection, keys) in collections {
            if let Some(listed) = &listed {
                missing += usize::from(!listed.iter().any(|listed| listed == collection));
            }
            let page = self.store.keys(collection, KeyQuery::new()).await;
            if let Some(page) = self.expect(page) {
                let is_missing = |key: &&&str| !page.keys.iter().any(|listed| listed == **key);
                missing += keys.iter().filter(is_missing).count();
            }
        }
        (right, missing)
    }

    async fn list_collections(&mut self) -> Option<Vec<String>> {
        let page = self.store.collections(KeyQuery::new()).await;
        self.expect(page).map(|page| page.collections)
    }

    fn is_right(&self, entry: &Entry, values: &[Value]) -> bool {
        values.contains(&entry.value)
    }

    /// Changes the file in every way, and takes the changes back.
    async fn write(&mut self) {
        let value = Value::from_stored("{}".into());
        let (collection, key) = ("added", "added");
        let put = self
            .store
            .put(collection, key, Entry::new(value.clone()), PutMode::Create)
            .await;
        if self.expect(put).is_some() {
            let taken = self.store.take(collection, key).await;
            if let Some(taken) = self.expect(taken)
                && taken.map(|entry| entry.value) != Some(value)
            {
                let fault = "what was put was not there to be taken";
                self.findings.faults.push(fault.to_owned());
            }
        }
        let culled = self.store.cull().await;
        if let Some(culled) = self.expect(culled)
            && culled > expired().count() as u64
        {
            self.findings.faults.push(format!("culled {culled}"));
        }
        let last = self.store.get(LAST.0, LAST.1).await;
        if let Some(Some(last)) = self.expect(last) {
            let deleted = self.store.delete(LAST.0, LAST.1).await;
            self.expect(deleted);
            let put = self
                .store
                .put(LAST.0, LAST.1, last, PutMode::Overwrite)
                .await;
            self.expect(put);
        }
    }
}

/// Tells whether an error says that the file is damaged: as such, or as why a write that met the
/// damage in its commit is of unknown outcome.
fn reports_damage(error: &Error) -> bool {
    match error {
        Error::Corrupted { .. } => true,
        Error::OutcomeUnknown { .. } => error
            .driver_error()
            .is_some_and(|cause| matches!(cause, Error::Corrupted { .. })),
        _ => false,
    }
}
