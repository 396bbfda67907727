//! [`Link`]: the way to the service, made on first use.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::{Client, config};
use kv_core::{Error, Result};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{Instant, timeout_at};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::attempt::{Call, NoteSent};
use crate::builder::{Config, Connection};
use crate::error::{Failure, STORE};
use crate::table;

/// The client of a store and the state of its table, shared by all handles.
pub(crate) struct Link {
    pub(crate) config: Config,
    client: OnceCell<Client>,
    table_is_ready: AtomicBool,
    setup: Mutex<()>,
}

impl Link {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            client: OnceCell::new(),
            // Whoever made the table answers for it.
            table_is_ready: AtomicBool::new(!config.create_table),
            setup: Mutex::new(()),
            config,
        }
    }

    /// Starts an operation, or a step of one: its time runs from here.
    pub(crate) async fn call(&self) -> Result<Call<'_>> {
        self.call_until(Instant::now() + self.config.operation_timeout)
            .await
    }

    /// Starts an operation that may go on until `deadline`, connecting and making the table first
    /// where that has not been done.
    pub(crate) async fn call_until(&self, deadline: Instant) -> Result<Call<'_>> {
        timeout_at(deadline, self.connect(deadline))
            .await
            .unwrap_or_else(|_| {
                let reason = if self.client.initialized() {
                    "its table was not ready in time"
                } else {
                    "the environment did not tell its region in time"
                };
                Err(Error::Unavailable {
                    store: STORE,
                    reason: reason.to_owned(),
                    source: None,
                })
            })
    }

    async fn connect(&self, deadline: Instant) -> Result<Call<'_>> {
        let call = Call {
            link: self,
            client: self.client.get_or_try_init(|| client(&self.config)).await?,
            deadline,
        };
        if !self.table_is_ready.load(Ordering::Acquire) {
            let _one_at_a_time = self.setup.lock().await;
            if !self.table_is_ready.load(Ordering::Acquire) {
                table::ensure(&call).await?;
                self.table_is_ready.store(true, Ordering::Release);
            }
        }
        Ok(call)
    }

    /// Makes the next operation look for the table again, or make it.
    pub(crate) fn table_is_gone(&self) {
        if self.config.create_table {
            self.table_is_ready.store(false, Ordering::Release);
        }
    }
}

/// Makes the client, and tells what it lacks before a request does: of that the SDK would not say
/// whether it was sent.
async fn client(settings: &Config) -> Result<Client> {
    let mut config = match &settings.connection {
        Connection::Environment => {
            let mut environment = aws_config::defaults(BehaviorVersion::latest());
            if let Some(region) = &settings.region {
                environment = environment.region(Region::new(region.clone()));
            }
            let load = environment.load().with_subscriber(NoSubscriber::new());
            config::Builder::from(&load.await)
        }
        Connection::Config(config) if config.credentials_provider().is_none() => {
            return Err(lacks("no credentials are set"));
        }
        Connection::Config(config) => {
            let builder = config::Builder::from(&**config);
            // Without one the SDK panics.
            match config.behavior_version() {
                Some(_) => builder,
                None => builder.behavior_version(BehaviorVersion::latest()),
            }
        }
        Connection::Client(client) => client.config().to_builder(),
    };
    if let Some(region) = &settings.region {
        config = config.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    // A connection that cannot be made shows before the attempt times out, and as what it is.
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.attempt_timeout / 2)
        .disable_read_timeout()
        .disable_operation_attempt_timeout()
        .disable_operation_timeout()
        .build();
    let config = config
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .retry_config(RetryConfig::disabled())
        .interceptor(NoteSent)
        .build();
    if config.region().is_none() {
        return Err(lacks("no region is set"));
    }
    Ok(Client::from_conf(config))
}

fn lacks(what: &str) -> Error {
    Failure::refused(what).of_unapplied("make a client")
}
