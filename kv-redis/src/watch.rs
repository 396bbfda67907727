//! Tells the changes of records, over connections of its own that are made again when they break.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use kv_core::{Change, Error, Watch};
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use crate::builder::Config;
use crate::error::unavailable;
use crate::inbox::{Inbox, Told};
use crate::link::{Tracking, wait_before};

/// How long to wait after a server refused, which takes somebody to change.
const WAIT_AFTER_REFUSAL: Duration = Duration::from_secs(10);

/// A connection that lasted this long was a good one: the next is made without much delay.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// Begins a watch of the collections that begin with `prefix`, which connects when it is polled.
pub(crate) fn begin(config: Arc<Config>, prefix: &str) -> Watch {
    let watcher = Watcher {
        config,
        prefix: prefix.to_owned(),
        session: None,
        overflowed: false,
        said_lost: false,
        failures: 0,
        wait: Duration::ZERO,
        warned: false,
    };
    let changes = stream::unfold(watcher, async |mut watcher: Watcher| {
        Some((watcher.next().await, watcher))
    });
    changes.boxed()
}

/// What a watch knows between two items.
struct Watcher {
    config: Arc<Config>,
    prefix: String,
    session: Option<Session>,
    /// `Lost` was told for changes that were too many, and nothing is lost any more.
    overflowed: bool,
    said_lost: bool,
    /// How often connecting failed or the connection broke at once, one after the other.
    failures: u32,
    /// Before connecting.
    wait: Duration,
    warned: bool,
}

/// The time during which all changes are told.
struct Session {
    inbox: Arc<Inbox>,
    tracking: Tracking,
    since: Instant,
}

impl Watcher {
    async fn next(&mut self) -> Change {
        loop {
            if self.overflowed {
                self.overflowed = false;
                return Change::Watching;
            }
            let Some(session) = &mut self.session else {
                if let Some(change) = self.connect().await {
                    return change;
                }
                continue;
            };
            match session.next().await {
                Ok(Told::Change(change)) => return change,
                Ok(Told::TooMuch) => {
                    self.overflowed = true;
                    return Change::Lost;
                }
                Ok(Told::End) => {
                    let ended = unavailable("a connection ended", None);
                    return self.lost(&ended);
                }
                Err(error) => return self.lost(&error),
            }
        }
    }

    fn lost(&mut self, error: &Error) -> Change {
        let session = self.session.take();
        if session.is_some_and(|session| session.since.elapsed() >= GOOD_AFTER) {
            self.failures = 0;
        }
        self.failed(error);
        self.said_lost = true;
        Change::Lost
    }

    /// Connects, once, and returns what is new by that.
    async fn connect(&mut self) -> Option<Change> {
        sleep(self.wait).await;
        let inbox = Arc::new(Inbox::new(&self.prefix));
        match self.config.link.track(&inbox).await {
            Ok(tracking) => {
                let since = Instant::now();
                self.session = Some(Session {
                    inbox,
                    tracking,
                    since,
                });
                self.said_lost = false;
                self.warned = false;
                Some(Change::Watching)
            }
            Err(error) => {
                self.failed(&error);
                let says = !self.said_lost;
                self.said_lost = true;
                says.then_some(Change::Lost)
            }
        }
    }

    fn failed(&mut self, error: &Error) {
        let refused = matches!(error, Error::Backend { .. });
        self.wait = if refused {
            WAIT_AFTER_REFUSAL
        } else {
            wait_before(self.failures)
        };
        self.failures = self.failures.saturating_add(1);
        if refused && !self.warned {
            self.warned = true;
            warn!(
                %error,
                "redis does not let changes be watched: the user needs +client|tracking and +ping, \
                 with sentinels or on a cluster +role; a proxy may not pass it on"
            );
        } else {
            debug!(%error, "changes in redis go unseen until it is connected to again");
        }
    }
}

impl Session {
    /// Returns what was told next; an error once changes may go untold.
    async fn next(&mut self) -> Result<Told, Error> {
        let (fails, told) = (pin!(self.tracking.fails()), pin!(self.inbox.next()));
        match select(fails, told).await {
            Either::Left((error, _)) => Err(error),
            Either::Right((told, _)) => Ok(told),
        }
    }
}
