//! [`Writer`]: the one thread that writes. It gathers what is queued into one transaction, commits
//! it with one sync, and answers everybody after that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kv_core::Error;

use crate::change::{Change, Progress};
use crate::database::{Database, Session, WriteError};
use crate::error::{self, STORE};
use crate::file;
use crate::queue::{Next, Queue, Queued, Task};
use crate::{Durability, store, table};

/// The most operations in one transaction.
const GROUP_LEN: usize = 1024;

/// About the most bytes in one transaction; a larger operation goes alone.
const GROUP_BYTES: u64 = 8 << 20;

/// How long nobody writes before what is in the log is made durable in the database too.
const IDLE: Duration = Duration::from_secs(1);

/// How long puts of the size that met a full medium are refused, unless room shows up before.
/// Each attempt costs closing and opening the file.
const REFUSAL: Duration = Duration::from_millis(500);

pub(crate) struct Writer {
    database: Arc<Database>,
    queue: Arc<Queue>,
    session: Session,
    /// Operations in several steps, each waiting for its next one.
    unfinished: VecDeque<Queued>,
    sweep_at: Option<Instant>,
    durable_at: Option<Instant>,
    refused: Option<Refused>,
}

/// What a full medium did not take.
struct Refused {
    bytes: u64,
    free: u64,
    until: Instant,
}

impl Writer {
    pub(crate) fn new(database: Arc<Database>, queue: Arc<Queue>) -> Self {
        let sweep_interval = database.config().sweep_interval;
        let durable_at = if database.is_undurable() {
            later(IDLE)
        } else {
            None
        };
        Self {
            database,
            queue,
            session: Session::default(),
            unfinished: VecDeque::new(),
            sweep_at: sweep_interval.and_then(later),
            durable_at,
            refused: None,
        }
    }

    /// Works until the queue is closed and everything in it is done; then closes the file.
    pub(crate) fn run(mut self) {
        loop {
            let deadline = if self.unfinished.is_empty() {
                self.sweep_at.into_iter().chain(self.durable_at).min()
            } else {
                Some(Instant::now())
            };
            match self.queue.next(deadline, GROUP_LEN, GROUP_BYTES) {
                Next::Tasks(tasks) => self.work(tasks),
                Next::Closed => break,
            }
            self.keep_times();
        }
        self.unfinished.retain(|task| !task.is_internal());
        while !self.unfinished.is_empty() {
            self.work(Vec::new());
        }
        self.make_durable();
        self.database.close();
    }

    /// Does `tasks` in their order, and one step of what is unfinished.
    fn work(&mut self, tasks: Vec<Queued>) {
        let mut group = Vec::with_capacity(tasks.len() + 1);
        for queued in tasks {
            match queued.task {
                Task::Change(_) => group.push(queued),
                Task::Alone(run) => {
                    self.commit(std::mem::take(&mut group));
                    run(&self.database);
                }
            }
        }
        group.extend(self.unfinished.pop_front());
        self.commit(group);
    }

    /// Applies and commits `group` in one transaction, and answers its callers.
    fn commit(&mut self, group: Vec<Queued>) {
        let mut group = self.refuse_what_finds_no_room(group);
        if group.is_empty() {
            return;
        }
        let durable = self.database.config().durability == Durability::Immediate;
        let now = self.now();
        let written = self
            .database
            .write(&mut self.session, now, durable, |tables| {
                changes(&mut group).try_for_each(|change| change.apply(tables))
            });
        match written {
            Ok(()) => self.answer(group),
            // One by one, so that only those fail that cannot be done.
            Err(WriteError::NotApplied(_)) if group.len() > 1 => {
                for queued in group {
                    self.commit(vec![queued]);
                }
            }
            Err(WriteError::NotApplied(error)) => {
                if matches!(error, Error::Full { .. }) {
                    self.refuse_from(group[0].adds_bytes);
                }
                changes(&mut group).for_each(|change| change.failed(error.clone()));
            }
            Err(WriteError::Unknown(cause)) => {
                let error = error::outcome_unknown(cause);
                changes(&mut group).for_each(|change| change.failed(error.clone()));
            }
        }
    }

    fn answer(&mut self, group: Vec<Queued>) {
        self.durable_at = match self.database.config().durability {
            _ if !self.database.is_undurable() => None,
            Durability::Immediate => later(IDLE),
            Durability::Interval(interval) => self.durable_at.or_else(|| later(interval)),
        };
        for mut queued in group {
            if queued.adds_bytes == 0 {
                self.refused = None;
            }
            if let Task::Change(change) = &mut queued.task
                && change.committed() == Progress::AnotherStep
            {
                self.unfinished.push_back(queued);
            }
        }
    }

    /// Answers [`Error::Full`] to the puts for which the medium has no room above the floor, and
    /// returns the rest of the group.
    fn refuse_what_finds_no_room(&mut self, group: Vec<Queued>) -> Vec<Queued> {
        let config = self.database.config();
        let floor = config.free_space_floor;
        if (floor == 0 && self.refused.is_none()) || group.iter().all(|task| task.adds_bytes == 0) {
            return group;
        }
        // A file system that does not tell is not held to the floor.
        let Ok(free) = file::free_bytes(&config.path) else {
            return group;
        };
        self.refused
            .take_if(|refused| free > refused.free || refused.until <= Instant::now());
        let most = self
            .refused
            .as_ref()
            .map_or(u64::MAX, |refused| refused.bytes);
        let mut room = free.saturating_sub(floor);
        let mut accepted = Vec::with_capacity(group.len());
        for mut queued in group {
            let bytes = queued.adds_bytes;
            if bytes == 0 || (bytes < most && (floor == 0 || bytes <= room)) {
                room = room.saturating_sub(bytes);
                accepted.push(queued);
            } else if let Task::Change(change) = &mut queued.task {
                change.failed(Error::Full {
                    store: STORE,
                    source: None,
                });
            }
        }
        accepted
    }

    fn refuse_from(&mut self, bytes: u64) {
        let free = file::free_bytes(&self.database.config().path).unwrap_or(0);
        self.refused = later(REFUSAL).map(|until| Refused { bytes, free, until });
    }

    /// Does what is due: a durable commit, or the start of a sweep.
    fn keep_times(&mut self) {
        let now = Instant::now();
        if self.durable_at.is_some_and(|due| due <= now) {
            self.make_durable();
        }
        if self.sweep_at.is_some_and(|due| due <= now) {
            self.sweep_at = self.database.config().sweep_interval.and_then(later);
            self.start_sweep();
        }
    }

    fn make_durable(&mut self) {
        self.durable_at = None;
        if let Err(error) = self.database.make_durable() {
            if self.database.config().logs() {
                tracing::warn!(%error, "writes are in the log and not yet in the database");
                self.durable_at = later(10 * IDLE);
            } else {
                tracing::warn!(%error, "acknowledged writes did not reach the medium");
            }
        }
    }

    /// Queues a sweep, unless nothing has expired or one is still at work.
    fn start_sweep(&mut self) {
        let now = self.now();
        if self.unfinished.iter().any(Queued::is_internal) {
            return;
        }
        match self.database.read(|open| table::any_expired(open, now)) {
            Ok(false) => {}
            Ok(true) => {
                let sweep = store::sweep(None, now);
                self.unfinished.push_back(Queued::internal(Box::new(sweep)));
            }
            Err(error) => tracing::warn!(%error, "expired entries could not be looked for"),
        }
    }

    fn now(&self) -> i64 {
        self.database.config().clock.now().as_micros()
    }
}

impl Drop for Writer {
    /// Also after a panic nobody waits for an answer that will not come.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

fn changes(group: &mut [Queued]) -> impl Iterator<Item = &mut Box<dyn Change>> {
    group
        .iter_mut()
        .filter_map(|queued| match &mut queued.task {
            Task::Change(change) => Some(change),
            Task::Alone(_) => None,
        })
}

/// Returns the time that lies `by` ahead; `None`, which is never, when no clock reaches it.
fn later(by: Duration) -> Option<Instant> {
    Instant::now().checked_add(by)
}
