//! [`Dial`]: how a connection to a server is made.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::sentinel::SentinelClient;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Mutex;

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
    pub(crate) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
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
