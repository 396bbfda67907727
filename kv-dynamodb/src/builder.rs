//! [`DynamoDbStoreBuilder`] and what it sets up.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use kv_core::{Clock, Error, Result, SystemClock};

use crate::DynamoDbStore;

/// Timeouts are held below this, so that adding one to a time never overflows.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Where the store's client comes from.
#[derive(Clone)]
pub(crate) enum Connection {
    /// The environment, as `aws-config` reads it.
    Environment,
    /// The user's configuration.
    Config(Box<SdkConfig>),
    /// The user's client.
    Client(Box<Client>),
}

/// What the user adds to the request that makes the table.
pub(crate) type TableSettings =
    Arc<dyn Fn(CreateTableFluentBuilder) -> CreateTableFluentBuilder + Send + Sync>;

/// What a store was built with.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) table: String,
    pub(crate) connection: Connection,
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) create_table: bool,
    pub(crate) table_settings: Option<TableSettings>,
    pub(crate) consistent_reads: bool,
    pub(crate) attempt_timeout: Duration,
    pub(crate) operation_timeout: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Leaves the endpoint out, which before [`DynamoDbStoreBuilder::build`] may hold anything.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("table", &self.table)
            .field("region", &self.region)
            .field("create_table", &self.create_table)
            .field("consistent_reads", &self.consistent_reads)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("operation_timeout", &self.operation_timeout)
            .finish_non_exhaustive()
    }
}

/// Sets up a [`DynamoDbStore`]. Made by [`DynamoDbStore::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_dynamodb::DynamoDbStore;
/// use kv_dynamodb::aws_sdk_dynamodb::types::SseSpecification;
///
/// let store = DynamoDbStore::builder("my-server")
///     .region("eu-central-1")
///     .operation_timeout(Duration::from_secs(5))
///     .table_settings(|table| {
///         let encrypted = SseSpecification::builder().enabled(true).build();
///         table.sse_specification(encrypted).deletion_protection_enabled(true)
///     })
///     .build()?;
/// assert_eq!(store.table(), "my-server");
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct DynamoDbStoreBuilder {
    config: Config,
}

impl DynamoDbStoreBuilder {
    pub(crate) fn new(table: String) -> Self {
        Self {
            config: Config {
                table,
                connection: Connection::Environment,
                endpoint: None,
                region: None,
                create_table: true,
                table_settings: None,
                consistent_reads: true,
                attempt_timeout: Duration::from_secs(2),
                operation_timeout: Duration::from_secs(10),
                clock: Arc::new(SystemClock::default()),
            },
        }
    }

    /// Sets the address of the service, such as that of DynamoDB Local. Default: what the
    /// environment or the client says, else the service of the region.
    ///
    /// Credentials do not stand in it.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.config.endpoint = Some(url.into());
        self
    }

    /// Sets the region, such as `eu-central-1`. Default: what the environment or the client says.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.config.region = Some(region.into());
        self
    }

    /// Uses your SDK configuration: its credentials, region, endpoint and HTTP client. Default:
    /// the chain of `aws-config` (environment variables, the shared files, web identity, ECS and
    /// EC2), read on first use.
    ///
    /// Timeouts and retries are the store's own.
    pub fn sdk_config(mut self, config: &SdkConfig) -> Self {
        self.config.connection = Connection::Config(Box::new(config.clone()));
        self
    }

    /// Uses your client, as [`sdk_config`](Self::sdk_config) a configuration. Default: none.
    pub fn client(mut self, client: Client) -> Self {
        self.config.connection = Connection::Client(Box::new(client));
        self
    }

    /// Sets whether the first use makes the table if there is none, and turns its expiry on.
    /// Default: on.
    ///
    /// Without it only entries are read and written, with fewer permissions; see the crate's page.
    pub fn create_table(mut self, enabled: bool) -> Self {
        self.config.create_table = enabled;
        self
    }

    /// Sets more about the table when it is made, such as encryption with a key of yours. Default:
    /// nothing; billing is on demand.
    ///
    /// Its name and its keys are not up for choice.
    pub fn table_settings(
        mut self,
        settings: impl Fn(CreateTableFluentBuilder) -> CreateTableFluentBuilder + Send + Sync + 'static,
    ) -> Self {
        self.config.table_settings = Some(Arc::new(settings));
        self
    }

    /// Sets whether reads and listings see every write acknowledged before them. Default: on.
    ///
    /// Turned off they cost half, and may answer with what was there about a second ago.
    /// [`get_fresh`](kv_core::Store::get_fresh), `clear`, `destroy` and writes are not affected.
    pub fn consistent_reads(mut self, enabled: bool) -> Self {
        self.config.consistent_reads = enabled;
        self
    }

    /// Sets how long one request may take. Default: 2 s.
    ///
    /// Half of it is for the connection, if one has to be made. Waiting for credentials does not
    /// count.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = timeout;
        self
    }

    /// Sets how long an operation may take, with all that it repeats. Default: 10 s.
    ///
    /// A bulk operation, a listing or a removal of a whole collection takes steps, of 100 entries
    /// read or 25 written at most. Each of these has this time.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.config.operation_timeout = timeout;
        self
    }

    /// Sets the clock that decides liveness. Default: the system's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.config.clock = Arc::new(clock);
        self
    }

    /// Checks the names and makes the store. Connects to nothing: the first operation does, or
    /// [`DynamoDbStore::open`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidName`] unless the table's name has 3 to 255 characters of `a-z`, `A-Z`,
    /// `0-9`, `_`, `-` and `.`; the endpoint is a URL of `http` or `https` with a host and without
    /// user, query and fragment; and the region has 1 or more characters of `a-z`, `0-9` and `-`.
    pub fn build(self) -> Result<DynamoDbStore> {
        let mut config = self.config;
        check_table(&config.table)?;
        config.endpoint.as_deref().map_or(Ok(()), check_endpoint)?;
        config.region.as_deref().map_or(Ok(()), check_region)?;
        for timeout in [&mut config.attempt_timeout, &mut config.operation_timeout] {
            *timeout = (*timeout).min(LONGEST_TIMEOUT);
        }
        Ok(DynamoDbStore::from_config(config))
    }
}

impl fmt::Debug for DynamoDbStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynamoDbStoreBuilder")
            .field(&self.config)
            .finish()
    }
}

fn check_table(table: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let reason = if !(3..=255).contains(&table.len()) {
        "it has fewer than 3 or more than 255 characters"
    } else if !table.bytes().all(allowed) {
        "it holds a character other than letters, digits, `_`, `-` and `.`"
    } else {
        return Ok(());
    };
    invalid("table", reason)
}

fn check_endpoint(url: &str) -> Result<()> {
    let mut schemes = ["http://", "https://"].into_iter();
    let Some(rest) = schemes.find_map(|scheme| url.strip_prefix(scheme)) else {
        return invalid("endpoint", "it does not start with `http://` or `https://`");
    };
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    if host.is_empty() {
        invalid("endpoint", "it names no host")
    } else if rest.contains(['@', '?', '#']) {
        invalid("endpoint", "it holds a user, a query or a fragment")
    } else if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        invalid("endpoint", "it holds a character that no URL has")
    } else {
        Ok(())
    }
}

fn check_region(region: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if region.is_empty() || !region.bytes().all(allowed) {
        return invalid("region", "it is not made of `a-z`, `0-9` and `-`");
    }
    Ok(())
}

fn invalid<T>(kind: &'static str, reason: &'static str) -> Result<T> {
    Err(Error::InvalidName { kind, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_table_can_have_is_refused() {
        for table in ["", "ab", "a b", "tablé", &"t".repeat(256)] {
            assert!(DynamoDbStore::new(table).is_err(), "{table}");
        }
        for table in ["abc", "A_b-c.1", &"t".repeat(255)] {
            assert!(DynamoDbStore::new(table).is_ok(), "{table}");
        }
    }

    #[test]
    fn an_endpoint_or_region_that_cannot_be_one_is_refused() {
        let at = |url: &str| DynamoDbStore::builder("table").endpoint(url).build();
        for url in [
            "",
            "127.0.0.1:8000",
            "localhost:8000",
            "ftp://localhost",
            "http://",
            "http://:8000",
            "http:///path",
            "http://user:password@localhost",
            "http://localhost?key=1",
            "http://localhost#1",
            "http://local host",
        ] {
            assert!(at(url).is_err(), "{url}");
        }
        for url in [
            "http://localhost:8000",
            "https://[::1]:8000/",
            "http://a.b/c",
        ] {
            assert!(at(url).is_ok(), "{url}");
        }
        for region in ["", "eu central", "EU", "eu-central-1\n"] {
            let builder = DynamoDbStore::builder("table").region(region);
            assert!(builder.build().is_err(), "{region}");
        }
    }
}
