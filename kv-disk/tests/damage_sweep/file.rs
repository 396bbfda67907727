//! Files to damage, and the ways to do it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use kv_core::{Entry, ManualClock, PutMode, Store, Timestamp, Value};
use kv_disk::DiskStore;
use rustix::fs::{CWD, FileType, Mode};
use serde::{Deserialize, Serialize};

const ENTRIES: usize = 200;
const COLLECTIONS: usize = 5;
const LONGEST_VALUE: usize = 8192;
const PAGE: u64 = 4096;
const BLOCK: u64 = 512;

/// The part of redb's first page that is in use, in bytes.
const HEADER: u64 = 512;

/// What the clock shows when a damaged file is read.
const NOW: Timestamp = Timestamp::from_micros(1_000_000_000_000);

/// The last entry that is written, twice. A crash may take back one commit that was damaged, so it
/// may then have its first value.
pub(crate) const LAST: (&str, &str) = ("last", "last");

/// How a file is made and opened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) verify: bool,
    pub(crate) shared: bool,
    /// Whether the store was not closed.
    pub(crate) crashed: bool,
    pub(crate) damaged: Part,
}

/// A file of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    Database,
    Log,
}

impl Part {
    pub(crate) fn file_name(self) -> &'static str {
        match self {
            Self::Database => "store.redb",
            Self::Log => "store.log",
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            verify: true,
            shared: false,
            crashed: false,
            damaged: Part::Database,
        }
    }
}

impl Setup {
    /// Makes the files in a folder inside `folder`: of a store that was closed, or of one that is
    /// open and has half of its entries in its log only. Returns the folder.
    pub(crate) async fn make(&self, folder: &Path) -> PathBuf {
        let original = folder.join("original");
        fs::create_dir(&original).unwrap();
        let store = self.open(&folder.join("store"));
        for number in 0..ENTRIES {
            if number == ENTRIES / 2 {
                assert!(store.check_integrity().await.unwrap());
            }
            let (collection, key) = name(number);
            let entry = entry(number);
            store
                .put(&collection, &key, entry, PutMode::Overwrite)
                .await
                .unwrap();
        }
        for number in [ENTRIES, ENTRIES + 1] {
            store
                .put(LAST.0, LAST.1, entry(number), PutMode::Overwrite)
                .await
                .unwrap();
        }
        if !self.crashed {
            drop(store);
        }
        for file in fs::read_dir(folder.join("store")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), original.join(file.file_name())).unwrap();
        }
        original
    }

    pub(crate) fn open(&self, folder: &Path) -> DiskStore {
        let mut builder = DiskStore::builder(folder).clock(Arc::new(ManualClock::new(NOW)));
        if !self.verify {
            builder = builder.verify_on_open(false);
        }
        if self.shared {
            builder = builder.shared();
        }
        builder.build().unwrap()
    }

    /// Returns the values that are right for each name that must be there.
    pub(crate) fn expected(&self) -> BTreeMap<(String, String), Vec<Value>> {
        let mut expected: BTreeMap<_, _> = (0..ENTRIES)
            .filter(|&number| !is_expired(number))
            .map(|number| (name(number), vec![entry(number).value]))
            .collect();
        let last = if self.crashed { ENTRIES } else { ENTRIES + 1 };
        let values = (last..ENTRIES + 2).map(|number| entry(number).value);
        expected.insert((LAST.0.to_owned(), LAST.1.to_owned()), values.collect());
        expected
    }
}

/// Returns the names that have expired.
pub(crate) fn expired() -> impl Iterator<Item = (String, String)> {
    (0..ENTRIES).filter(|&number| is_expired(number)).map(name)
}

fn name(number: usize) -> (String, String) {
    let collection = format!("collection-{}", number % COLLECTIONS);
    (collection, format!("key-{number:03}"))
}

fn expires_at(number: usize) -> Option<Timestamp> {
    let end = match number % 6 {
        0 => NOW.as_micros() + 1000,
        1 => NOW.as_micros() - 1,
        _ => return None,
    };
    Some(Timestamp::from_micros(end))
}

fn is_expired(number: usize) -> bool {
    expires_at(number).is_some_and(|end| end <= NOW)
}

fn entry(number: usize) -> Entry {
    let mut rng = Rng::with_seed(number as u64);
    let most = if number.is_multiple_of(16) {
        LONGEST_VALUE
    } else {
        LONGEST_VALUE / 16
    };
    let filler: String = (0..rng.usize(0..most))
        .map(|_| rng.alphanumeric())
        .collect();
    let value = Value::from_stored(format!(r#"{{"filler":"{filler}"}}"#).into());
    let created = Timestamp::from_micros(NOW.as_micros() - 1000);
    Entry::new(value)
        .with_created_at(created)
        .with_expires_at(expires_at(number))
}

/// What is done to a file. Offsets and lengths are in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Damage {
    Truncate(u64),
    FlipBit(u64),
    /// Zeros at an offset, of a length.
    Zero(u64, u64),
    /// Random bytes at an offset, of a length, from a seed.
    Noise(u64, u64, u64),
    SwapPages(u64, u64),
    /// Random bytes of a length, from a seed.
    Append(u64, u64),
    Text,
    Zeros(u64),
    Folder,
    Fifo,
}

impl Damage {
    /// Tells whether the log with this damage is one that nobody can tell from a shorter log.
    pub(crate) fn shortens(&self) -> bool {
        matches!(self, Self::Truncate(_) | Self::Zeros(_))
    }

    /// Puts the damaged copy of `original` at `path`.
    pub(crate) fn apply(&self, original: &[u8], path: &Path) {
        let mut bytes = original.to_vec();
        let noise = |bytes: &mut [u8], seed| Rng::with_seed(seed).fill(bytes);
        let range = |offset: u64, len: u64| at(offset)..at(offset + len).min(original.len());
        match *self {
            Self::Truncate(len) => bytes.truncate(at(len)),
            Self::FlipBit(bit) => bytes[at(bit / 8)] ^= 1 << (bit % 8),
            Self::Zero(offset, len) => bytes[range(offset, len)].fill(0),
            Self::Noise(offset, len, seed) => noise(&mut bytes[range(offset, len)], seed),
            Self::SwapPages(a, b) => {
                let (a, b) = (range(a * PAGE, PAGE), range(b * PAGE, PAGE));
                bytes[a.clone()].copy_from_slice(&original[b.clone()]);
                bytes[b].copy_from_slice(&original[a]);
            }
            Self::Append(len, seed) => {
                bytes.resize(original.len() + at(len), 0);
                noise(&mut bytes[original.len()..], seed);
            }
            Self::Text => bytes = b"This is no database. It is a text.\n".repeat(1000),
            Self::Zeros(len) => bytes = vec![0; at(len)],
            Self::Folder => return fs::create_dir(path).unwrap(),
            Self::Fifo => {
                return rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                    .unwrap();
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

fn at(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

/// How many damages to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// About 1,500.
    Quick,
    /// About 7,500, with every bit of the header.
    Thorough,
}

/// Chooses the damages for a file of `len` bytes, `factor` times as many where they are random.
pub(crate) fn damages(len: u64, effort: Effort, factor: u64, rng: &mut Rng) -> Vec<Damage> {
    let (header_step, random) = match effort {
        Effort::Quick => (8, factor),
        Effort::Thorough => (1, factor * 4),
    };
    let mut damages = vec![
        Damage::Text,
        Damage::Truncate(0),
        Damage::Zeros(len),
        Damage::Zeros(PAGE),
    ];
    let blocks = len.div_ceil(BLOCK);
    let spread = (blocks / (50 * random)).max(1);
    damages.extend(
        (0..blocks)
            .step_by(at(spread))
            .map(|block| Damage::Truncate(block * BLOCK)),
    );
    damages.extend((0..HEADER * 8).step_by(header_step).map(Damage::FlipBit));
    // The rest of the first page is not in use.
    let padding_step = at((256 / random).max(1));
    damages.extend(
        (HEADER * 8..PAGE * 8)
            .step_by(padding_step)
            .map(Damage::FlipBit),
    );
    let pages = len / PAGE;
    for _ in 0..25 * random {
        let page = rng.u64(0..pages) * PAGE;
        let block = rng.u64(0..blocks) * BLOCK;
        let seed = rng.u64(..);
        damages.extend((0..20).map(|_| Damage::FlipBit(rng.u64(PAGE * 8..len * 8))));
        damages.extend([
            Damage::Zero(page, PAGE),
            Damage::Zero(block, BLOCK),
            Damage::Noise(block, BLOCK, seed),
            Damage::Noise(rng.u64(0..HEADER), rng.u64(1..16), seed),
            Damage::SwapPages(rng.u64(0..pages), rng.u64(0..pages)),
        ]);
    }
    for added in [1, BLOCK - 1, PAGE, 16 * PAGE] {
        damages.push(Damage::Append(added, rng.u64(..)));
    }
    for _ in 0..5 * random {
        damages.push(Damage::Append(rng.u64(1..1 << 20), rng.u64(..)));
    }
    damages
}
