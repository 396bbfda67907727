//! [`Handle`]: what the clones of a store share. It opens the store at first use and ends it with
//! the last clone.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use kv_core::{Error, Result};
use tokio::runtime::{Handle as Runtime, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::Reads;
use crate::builder::Config;
use crate::database::Database;
use crate::error;
use crate::queue::{Queue, Task};
use crate::writer::Writer;

/// What all clones of a store share.
pub(crate) struct Handle {
    pub(crate) config: Arc<Config>,
    engine: OnceLock<Engine>,
    /// One caller at a time starts a thread that opens.
    caller: tokio::sync::Mutex<()>,
    /// One thread at a time opens: the caller of the one before may have gone.
    opener: Mutex<()>,
}

/// An open store: the database and the thread that writes to it.
pub(crate) struct Engine {
    database: Arc<Database>,
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

/// Where a blocking read of the caller may run.
enum Place {
    /// On this thread.
    Here,
    /// On this thread, after telling the runtime.
    Blocking,
    /// On a thread of the blocking pool.
    Pool,
}

impl Handle {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            engine: OnceLock::new(),
            caller: tokio::sync::Mutex::const_new(()),
            opener: Mutex::new(()),
        }
    }

    /// Returns the open store, opening it now if nobody has.
    pub(crate) async fn engine(self: &Arc<Self>) -> Result<&Engine> {
        if let Some(engine) = self.engine.get() {
            return Ok(engine);
        }
        let _turn = self.caller.lock().await;
        let (reply, answer) = oneshot::channel();
        let handle = Arc::clone(self);
        thread::Builder::new()
            .name("kv-disk-open".to_owned())
            .spawn(move || {
                let opened = handle.open();
                drop(handle);
                crate::change::answer_with(reply, opened);
            })
            .map_err(cannot_start)?;
        answer.await.map_err(|_| error::closed())??;
        self.engine.get().ok_or_else(error::closed)
    }

    fn open(&self) -> Result<()> {
        let _turn = self.opener.lock().unwrap_or_else(PoisonError::into_inner);
        if self.engine.get().is_none() {
            let engine = Engine::start(&self.config)?;
            // Nobody else sets it while this thread has its turn.
            let _ = self.engine.set(engine);
        }
        Ok(())
    }
}

impl Engine {
    fn start(config: &Arc<Config>) -> Result<Self> {
        let database = Arc::new(Database::open(Arc::clone(config))?);
        let queue = Arc::new(Queue::new(config.queue_len, config.queue_bytes));
        let writer = Writer::new(Arc::clone(&database), Arc::clone(&queue));
        let writer = thread::Builder::new()
            .name("kv-disk-write".to_owned())
            .spawn(move || writer.run())
            .map_err(cannot_start)?;
        Ok(Self {
            database,
            queue,
            writer: Some(writer),
        })
    }

    /// Runs a read on this thread, if this thread may block.
    pub(crate) fn read_in_place<T>(&self, read: impl FnOnce(&Database) -> T) -> Option<T> {
        match place(self.database.config().reads) {
            Place::Here => Some(read(&self.database)),
            Place::Blocking => Some(tokio::task::block_in_place(|| read(&self.database))),
            Place::Pool => None,
        }
    }

    /// Runs a read on the blocking pool of the runtime.
    pub(crate) async fn read_on_pool<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || read(&database))
            .await
            .map_err(|stopped| Error::Unavailable {
                store: error::STORE,
                reason: "the runtime is shutting down".to_owned(),
                source: Some(Arc::new(stopped)),
            })?
    }

    /// Queues what `task` makes of the way to answer, and waits for the answer.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits for room, nothing is done; dropped later, everything is.
    pub(crate) async fn submit<T>(
        &self,
        bytes: usize,
        adds: bool,
        task: impl FnOnce(oneshot::Sender<Result<T>>) -> Task,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.push(task(reply), bytes, adds).await?;
        answer.await.map_err(|_| error::closed())?
    }
}

impl Drop for Engine {
    /// Commits what is queued, closes the file and joins the thread.
    fn drop(&mut self) {
        self.queue.close();
        let Some(writer) = self.writer.take() else {
            return;
        };
        // The writer thread itself can drop the last clone, through a waker that it calls. It then
        // ends by itself.
        if writer.thread().id() != thread::current().id() && writer.join().is_err() {
            tracing::error!("the writer thread of a disk store panicked");
        }
    }
}

fn place(reads: Reads) -> Place {
    match Runtime::try_current() {
        Err(_) => Place::Here,
        Ok(_) if reads == Reads::SpawnBlocking => Place::Pool,
        Ok(runtime) => match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => Place::Blocking,
            _ => Place::Pool,
        },
    }
}

fn cannot_start(source: std::io::Error) -> Error {
    Error::Unavailable {
        store: error::STORE,
        reason: "its thread cannot be started".to_owned(),
        source: Some(Arc::new(source)),
    }
}
