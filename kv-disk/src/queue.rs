//! [`Queue`]: the bounded line of operations between the callers and the writer thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kv_core::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::change::Change;
use crate::database::Database;
use crate::error;

/// The unit in which waiting bytes are counted, so that a count of them fits a semaphore.
const BYTES_PER_PERMIT: usize = 1024;

/// What the writer thread is asked to do.
pub(crate) enum Task {
    /// Shares a transaction with its neighbours.
    Change(Box<dyn Change>),
    /// Runs alone, behind everything that was queued before it.
    Alone(Box<dyn FnOnce(&Database) + Send>),
}

/// A task in the line, or being worked on.
pub(crate) struct Queued {
    pub(crate) task: Task,
    /// About how many bytes the task adds to the file; zero when it only removes.
    pub(crate) adds_bytes: u64,
    /// Given back when the task has been answered.
    _room: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Queued {
    /// A task of the writer thread's own, which waits in no line.
    pub(crate) fn internal(change: Box<dyn Change>) -> Self {
        Self {
            task: Task::Change(change),
            adds_bytes: 0,
            _room: None,
        }
    }

    /// Tells whether nobody asked for this task, so that it need not be finished.
    pub(crate) fn is_internal(&self) -> bool {
        self._room.is_none()
    }
}

/// What [`Queue::next`] found.
pub(crate) enum Next {
    /// The tasks to do now, none when the deadline passed.
    Tasks(Vec<Queued>),
    /// The queue is closed and empty.
    Closed,
}

pub(crate) struct Queue {
    line: Mutex<Line>,
    arrival: Condvar,
    room: Arc<Semaphore>,
    byte_room: Arc<Semaphore>,
    /// All permits of `byte_room`: what a task larger than the queue takes, to go alone.
    byte_permits: usize,
}

#[derive(Default)]
struct Line {
    tasks: VecDeque<Queued>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(len: usize, bytes: usize) -> Self {
        let byte_permits = bytes.div_ceil(BYTES_PER_PERMIT).clamp(1, u32::MAX as usize);
        Self {
            line: Mutex::default(),
            arrival: Condvar::new(),
            room: Arc::new(Semaphore::new(len.min(Semaphore::MAX_PERMITS))),
            byte_room: Arc::new(Semaphore::new(byte_permits)),
            byte_permits,
        }
    }

    /// Waits for room and puts `task` in the line. Once this has returned, the task is done
    /// whether or not its caller waits on.
    pub(crate) async fn push(&self, task: Task, bytes: usize, adds: bool) -> Result<()> {
        let permits = bytes.div_ceil(BYTES_PER_PERMIT).clamp(1, self.byte_permits);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let one = Arc::clone(&self.room).acquire_owned().await;
        let some = Arc::clone(&self.byte_room)
            .acquire_many_owned(permits)
            .await;
        let (Ok(one), Ok(some)) = (one, some) else {
            return Err(error::closed());
        };
        let mut line = self.lock();
        if line.closed {
            return Err(error::closed());
        }
        line.tasks.push_back(Queued {
            task,
            adds_bytes: if adds { bytes as u64 } else { 0 },
            _room: Some((one, some)),
        });
        drop(line);
        self.arrival.notify_one();
        Ok(())
    }

    /// Takes the tasks at the front of the line, at most `len` and about `bytes` of them. Waits
    /// for the first one until `deadline`, for ever when there is none.
    pub(crate) fn next(&self, deadline: Option<Instant>, len: usize, bytes: u64) -> Next {
        let mut line = self.lock();
        loop {
            if !line.tasks.is_empty() {
                return Next::Tasks(front(&mut line.tasks, len, bytes));
            }
            if line.closed {
                return Next::Closed;
            }
            line = match deadline {
                None => self
                    .arrival
                    .wait(line)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Next::Tasks(Vec::new());
                    }
                    self.arrival
                        .wait_timeout(line, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    /// Takes no more tasks. Those in the line are still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.byte_room.close();
        self.arrival.notify_one();
    }

    /// Takes no more tasks and drops those in the line, whose callers learn that the store is
    /// closed.
    pub(crate) fn abandon(&self) {
        self.close();
        let dropped = std::mem::take(&mut self.lock().tasks);
        drop(dropped);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn front(tasks: &mut VecDeque<Queued>, len: usize, bytes: u64) -> Vec<Queued> {
    let mut added: u64 = 0;
    let fitting = tasks
        .iter()
        .take(len)
        .take_while(|task| {
            added = added.saturating_add(task.adds_bytes);
            added <= bytes
        })
        .count();
    tasks.drain(..fitting.max(1)).collect()
}
