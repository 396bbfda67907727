//! [`Dial`]: how a connection to a server is made.

use std::time::Duration;

use kv_core::Result;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Limits;
use crate::error::{connecting, unavailable};

/// How many requests may wait for the connection to take them.
const PIPELINE_BUFFER: usize = 1024;

/// The way to a server.
pub(crate) enum Dial {
    /// Its address is known.
    Direct(Client),
    /// Sentinels know which server is the master, which is asked before each connection.
    Sentinel {
        client: Mutex<SentinelClient>,
        sentinels: u32,
    },
}

impl Dial {
    /// Connects and logs in. `on_push` is told what the server sends unasked, and is dropped when
    /// the connection ends.
    pub(crate) async fn open(
        &self,
        limits: Limits,
        on_push: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection> {
        let within = limits.connect_timeout;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(within))
            // Every request has a timeout of its own.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_push_sender(on_push);
        let connected = timeout(self.longest(within), self.connect(&config));
        let Ok(connected) = connected.await else {
            let reason = format!("it could not be connected to within {within:?}");
            return Err(unavailable(reason, None));
        };
        connected.map_err(connecting)
    }

    async fn connect(&self, config: &AsyncConnectionConfig) -> RedisResult<MultiplexedConnection> {
        match self {
            Self::Direct(client) => {
                client
                    .get_multiplexed_async_connection_with_config(config)
                    .await
            }
            Self::Sentinel { client, .. } => {
                let mut client = client.lock().await;
                client.get_async_connection_with_config(config).await
            }
        }
    }

    /// Returns how long connecting may take when one connection may take `timeout`.
    ///
    /// A sentinel is asked after those before it did not answer; then the master is connected to,
    /// first to ask for its role.
    pub(crate) fn longest(&self, timeout: Duration) -> Duration {
        match self {
            Self::Direct(_) => timeout,
            Self::Sentinel { sentinels, .. } => timeout * (sentinels + 2),
        }
    }
}
