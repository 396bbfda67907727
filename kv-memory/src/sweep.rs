//! The thread that gives back the space of what has expired and nobody asks for any more.

use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// A thread that sweeps again and again, once it has been started. It ends when this is dropped.
pub(crate) struct Sweeper {
    interval: Duration,
    alive: OnceLock<mpsc::Sender<()>>,
}

impl Sweeper {
    /// How often the thread sweeps by default.
    pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

    pub(crate) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            alive: OnceLock::new(),
        }
    }

    /// Calls `sweep` once an interval from now on. Later calls do nothing.
    pub(crate) fn start(&self, sweep: impl Fn() + Send + 'static) {
        self.alive.get_or_init(|| {
            let interval = self.interval;
            let (alive, dropped) = mpsc::channel();
            // Where no thread can be had, the space comes back with `cull`.
            drop(
                thread::Builder::new()
                    .name("kv-memory-sweep".to_owned())
                    .spawn(move || {
                        while dropped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                            sweep();
                        }
                    }),
            );
            alive
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_sweeps_until_the_sweeper_is_dropped() {
        let (sender, swept) = mpsc::channel();
        let sweeper = Sweeper::new(Duration::from_millis(1));
        sweeper.start(move || sender.send(()).unwrap());
        swept.recv().unwrap();
        drop(sweeper);
        // The channel ends when the thread has dropped its sender.
        swept.iter().for_each(drop);
    }
}
