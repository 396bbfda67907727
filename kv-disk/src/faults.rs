//! A database file that is slow or broken on demand, and what the store does about it.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

mod tests;

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
        }
    }
}

impl Faults {
    pub(crate) fn wrap(self: &Arc<Self>, file: FileBackend) -> FaultyFile {
        FaultyFile {
            file,
            faults: Arc::clone(self),
        }
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
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.started_syncs.fetch_add(1, Ordering::SeqCst);
        let delay = self.faults.sync_delay_millis.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(delay));
        self.faults.check()?;
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.check()?;
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
