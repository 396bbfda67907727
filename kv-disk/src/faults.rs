//! Files that are slow or broken on demand, or lose what was not synced, and what the store does
//! about it.

use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

mod lives;
mod medium;
mod power;
mod tests;

use medium::Medium;

/// What goes wrong in the file of one store.
#[derive(Debug)]
pub(crate) struct Faults {
    sync_delay_millis: AtomicU64,
    /// How many more writes and syncs succeed; negative for ever.
    left: AtomicI64,
    /// How many fail after that; the medium then works again.
    failures: AtomicI64,
    /// The raw OS error of the failures.
    errno: AtomicI64,
    pub(crate) syncs: AtomicU64,
    pub(crate) started_syncs: AtomicU64,
    power: Mutex<Power>,
}

/// What a loss of power at a chosen moment would leave.
#[derive(Debug, Default)]
struct Power {
    medium: Medium,
    /// How many writes and syncs come before it.
    left: Option<u64>,
    /// How many operations the test has seen acknowledged.
    acknowledged: usize,
    lost: Option<Lost>,
}

/// The medium at the moment when the power was lost, and how much was acknowledged by then.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) medium: Medium,
    pub(crate) acknowledged: usize,
}

impl Power {
    /// Counts a write or sync that is about to happen.
    fn step(&mut self) {
        match &mut self.left {
            Some(0) => {
                self.left = None;
                self.lost = Some(Lost {
                    medium: self.medium.clone(),
                    acknowledged: self.acknowledged,
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            sync_delay_millis: AtomicU64::new(0),
            left: AtomicI64::new(-1),
            failures: AtomicI64::new(0),
            errno: AtomicI64::new(0),
            syncs: AtomicU64::new(0),
            started_syncs: AtomicU64::new(0),
            power: Mutex::default(),
        }
    }
}

impl Faults {
    pub(crate) fn wrap(self: &Arc<Self>, file: File) -> FaultyFile {
        let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        self.power().medium.opened(&path);
        FaultyFile {
            file: FileBackend::new(file).unwrap(),
            path,
            faults: Arc::clone(self),
        }
    }

    fn power(&self) -> std::sync::MutexGuard<'_, Power> {
        self.power.lock().unwrap()
    }

    /// Notes what is in `folder` before the store opens it.
    pub(crate) fn start_with(&self, folder: &Path) {
        for file in fs::read_dir(folder).unwrap() {
            self.power().medium.opened(&file.unwrap().path());
        }
    }

    /// Keeps what is on the medium `left` writes and syncs from now.
    pub(crate) fn lose_power_after(&self, left: u64) {
        self.power().left = Some(left);
    }

    /// Notes that one more operation has been acknowledged.
    pub(crate) fn acknowledge(&self) {
        self.power().acknowledged += 1;
    }

    /// Returns what was on the medium at the chosen moment, if it has come.
    pub(crate) fn power_lost(&self) -> Option<Lost> {
        self.power().lost.clone()
    }

    /// Makes every sync take this long.
    pub(crate) fn delay_syncs(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.sync_delay_millis.store(millis, Ordering::SeqCst);
    }

    /// Lets `left` writes and syncs succeed and the next `failures` fail with `errno`.
    pub(crate) fn fail_after(&self, left: i64, failures: i64, errno: i32) {
        self.failures.store(failures, Ordering::SeqCst);
        self.errno.store(i64::from(errno), Ordering::SeqCst);
        self.left.store(left, Ordering::SeqCst);
    }

    /// Ends the failures. Returns whether there was one.
    pub(crate) fn heal(&self) -> bool {
        self.failures.store(0, Ordering::SeqCst);
        self.left.swap(-1, Ordering::SeqCst) == 0
    }

    fn check(&self) -> io::Result<()> {
        let exhausted = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                (left > 0).then_some(left - 1)
            })
            == Err(0);
        if exhausted && self.failures.fetch_sub(1, Ordering::SeqCst) > 0 {
            let errno = i32::try_from(self.errno.load(Ordering::SeqCst)).unwrap();
            return Err(io::Error::from_raw_os_error(errno));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct FaultyFile {
    file: FileBackend,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.check()?;
        let mut power = self.faults.power();
        power.step();
        power.medium.resized(&self.path, len);
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.started_syncs.fetch_add(1, Ordering::SeqCst);
        let delay = self.faults.sync_delay_millis.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(delay));
        self.faults.check()?;
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()?;
        let mut power = self.faults.power();
        power.step();
        power.medium.synced(&self.path);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check()?;
        let mut power = self.faults.power();
        power.step();
        power.medium.written(&self.path, offset, data);
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
