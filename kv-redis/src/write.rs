//! Writing one entry: unconditionally, where nothing is, or over one revision.

use bytes::Bytes;
use kv_core::{Entry, Error, PutMode, Result, Revision, envelope};
use redis::Value;
use tokio::time::Instant;

use crate::builder::Config;
use crate::error::{Failure, STORE, acknowledged};
use crate::link::{Link, Repeat, Request};
use crate::{name, record, script};

/// A record on its way to the server. No two have the same bytes.
pub(crate) struct Write {
    key: String,
    record: Bytes,
    life_millis: Option<u64>,
}

impl Write {
    pub(crate) fn new(config: &Config, collection: &str, key: &str, entry: Entry) -> Result<Self> {
        let size = entry.value.len() as u64;
        if size > config.max_value_bytes {
            return Err(Error::TooLarge {
                limit: config.max_value_bytes,
                size,
            });
        }
        let now = config.clock.now();
        let entry = entry.prepared(now)?;
        Ok(Self {
            key: name::record(collection, key),
            record: envelope::encode(collection, key, &entry)?,
            life_millis: record::life_millis(&entry, now),
        })
    }

    pub(crate) fn revision(&self) -> Revision {
        Revision::from_bytes(self.record.clone())
    }

    /// Returns how many bytes the request has, about.
    pub(crate) fn len(&self) -> usize {
        self.key.len() + self.record.len()
    }

    /// Stores the record as `mode` allows.
    pub(crate) async fn apply(&self, config: &Config, mode: PutMode) -> Result<()> {
        let deadline = config.link.deadline();
        match mode {
            PutMode::Overwrite => self.overwrite(config, deadline).await,
            PutMode::Create => self.create(config, deadline).await,
            PutMode::Update(revision) => self.update(config, &revision, deadline).await,
            _ => Err(Error::Unsupported {
                what: "this condition of a put",
            }),
        }
    }

    /// Makes the request that stores the record whatever is there.
    pub(crate) fn set(&self, link: &Link) -> Request {
        self.set_with(link, &[])
    }

    /// Makes the request that reads what is stored.
    pub(crate) fn get(&self, link: &Link) -> Request {
        let mut command = redis::cmd("GET");
        command.arg(&self.key);
        link.request(&self.key, command)
    }

    /// Tells whether the answer to [`get`](Self::get) is this record: then it was applied.
    pub(crate) fn is_stored(&self, answer: &Result<Value, Failure>) -> bool {
        matches!(answer, Ok(Value::BulkString(held)) if *held == self.record)
    }

    async fn overwrite(&self, config: &Config, deadline: Instant) -> Result<()> {
        let answer = config
            .link
            .call(&self.set(&config.link), Repeat::Write, deadline)
            .await;
        match acknowledged(answer) {
            Ok(()) => Ok(()),
            Err(failure) => self.settle(config, failure, deadline).await,
        }
    }

    /// Stores the record where nothing live is.
    ///
    /// The server is asked for no time: what stands in the way is read, and replaced if it has
    /// expired by the store's clock and is still the same.
    async fn create(&self, config: &Config, deadline: Instant) -> Result<()> {
        let set = self.set_with(&config.link, &["NX"]);
        loop {
            let answer = config.link.call(&set, Repeat::Write, deadline).await;
            let written = match answer {
                Ok(Value::Nil) => Ok(false),
                answer => acknowledged(answer).map(|()| true),
            };
            match written {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(failure) => return self.settle(config, failure, deadline).await,
            }
            let held = match config
                .link
                .call(&self.get(&config.link), Repeat::Read, deadline)
                .await
            {
                Ok(value) => record::bytes(value).map_err(|failure| failure.error)?,
                Err(failure) if record::is_other_type(&failure) => {
                    return Err(Error::AlreadyExists);
                }
                Err(failure) => return Err(failure.error),
            };
            let Some(held) = held else {
                continue;
            };
            if record::counts(Some(held.clone()), config.clock.now()) {
                return Err(Error::AlreadyExists);
            }
            if self.replace(config, &held, deadline).await? {
                return Ok(());
            }
        }
    }

    /// Stores the record over the one that `revision` is of.
    async fn update(&self, config: &Config, revision: &Revision, deadline: Instant) -> Result<()> {
        let Some(old) = revision.as_bytes() else {
            return Err(Error::Conflict);
        };
        if !matches!(
            record::live(Some(old.clone()), || config.clock.now()),
            Ok(Some(_))
        ) {
            return Err(Error::Conflict);
        }
        if self.replace(config, old, deadline).await? {
            return Ok(());
        }
        Err(Error::Conflict)
    }

    /// Stores the record if exactly `old` is stored. Tells whether it did.
    async fn replace(&self, config: &Config, old: &Bytes, deadline: Instant) -> Result<bool> {
        let replaced = script::replace(
            &config.link,
            &self.key,
            old,
            &self.record,
            self.life_millis,
            deadline,
        );
        match replaced.await {
            Ok(replaced) => Ok(replaced),
            Err(failure) => {
                self.settle(config, failure, deadline).await?;
                Ok(true)
            }
        }
    }

    /// Finds out whether a write that failed was applied: it was if the record is there.
    ///
    /// If it is not, it may have been replaced already, or may be on its way yet.
    async fn settle(&self, config: &Config, failure: Failure, deadline: Instant) -> Result<()> {
        if failure.is_lost() {
            let held = config
                .link
                .call(&self.get(&config.link), Repeat::Read, deadline)
                .await;
            if self.is_stored(&held) {
                return Ok(());
            }
        }
        Err(failure.of_a_write())
    }

    fn set_with(&self, link: &Link, conditions: &[&str]) -> Request {
        let mut command = redis::cmd("SET");
        command.arg(&self.key).arg(&self.record[..]);
        if let Some(millis) = self.life_millis {
            command.arg("PX").arg(millis);
        }
        for condition in conditions {
            command.arg(condition);
        }
        link.request(&self.key, command)
    }
}

/// The error of a write that is not possible because listing or removing failed before its end.
pub(crate) fn of_the_whole(error: Error, applied_in_part: bool) -> Error {
    match error {
        error @ Error::OutcomeUnknown { .. } => error,
        error if applied_in_part => Error::OutcomeUnknown {
            store: STORE,
            source: Some(std::sync::Arc::new(error)),
        },
        error => error,
    }
}
