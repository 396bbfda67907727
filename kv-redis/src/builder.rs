//! [`RedisStoreBuilder`], and what it makes of addresses and certificates.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kv_core::{Clock, Error, Result, SystemClock};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisError, RedisResult, TlsCertificates, TlsMode,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::sync::Mutex;

use crate::RedisStore;
use crate::error::{STORE, unavailable};
use crate::link::{Cluster, Dial, Limits, Link, Node};

/// The longest value that fits into a string of the server, 512 MB, with the record around it.
const MAX_VALUE_BYTES: u64 = 511 << 20;

/// The longest time for anything. More would leave the range of the runtime's clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What the addresses are of.
#[derive(Clone)]
pub(crate) enum Target {
    Server(String),
    Client(ConnectionInfo),
    Cluster(Vec<String>),
    Sentinel { urls: Vec<String>, master: String },
}

/// What a store was built with.
pub(crate) struct Config {
    pub(crate) link: Link,
    pub(crate) places: Vec<String>,
    pub(crate) allow_destroy: bool,
    pub(crate) max_value_bytes: u64,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Sets up a [`RedisStore`]. Made by [`RedisStore::builder`], [`RedisStore::cluster`],
/// [`RedisStore::sentinel`] and [`RedisStore::client`].
///
/// `Debug` shows neither URLs nor passwords nor keys.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kv_redis::RedisStore;
///
/// let store = RedisStore::builder("rediss://cache.example.com:6380/2")
///     .username("app")
///     .password("hunter2")
///     .response_timeout(Duration::from_millis(500))
///     .build()?;
/// assert!(!format!("{store:?}").contains("hunter2"));
/// # Ok::<(), kv_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisStoreBuilder {
    target: Target,
    username: Option<String>,
    password: Option<String>,
    db: Option<u32>,
    root_certificate: Option<Vec<u8>>,
    client_certificate: Option<ClientTlsConfig>,
    limits: Limits,
    allow_destroy: bool,
    max_value_bytes: u64,
    clock: Option<Arc<dyn Clock>>,
}

impl RedisStoreBuilder {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            username: None,
            password: None,
            db: None,
            root_certificate: None,
            client_certificate: None,
            limits: Limits {
                connect_timeout: Duration::from_secs(1),
                response_timeout: Duration::from_secs(2),
                operation_timeout: Duration::from_secs(5),
                retries: 3,
            },
            allow_destroy: false,
            max_value_bytes: 16 << 20,
            clock: None,
        }
    }

    /// Sets the user of the server's access control list. Default: the one in the URL, else the
    /// server's `default`.
    ///
    /// With sentinels this is the user of the servers; those in the URLs are the sentinels'.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// Sets the password. Default: the one in the URL, else none.
    ///
    /// With sentinels this is the password of the servers; those in the URLs are the sentinels'.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the number of the database. Default: the one in the URL, else 0. A cluster has only 0.
    pub fn db(mut self, db: u32) -> Self {
        self.db = Some(db);
        self
    }

    /// Sets the certificate authority, in PEM, that a server's certificate must be of. Default: those
    /// that the system trusts.
    ///
    /// For `rediss://` only, as is [`client_certificate`](Self::client_certificate).
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificate = Some(pem.into());
        self
    }

    /// Sets the certificate and its private key, both in PEM, that the server is shown. Default:
    /// none.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some(ClientTlsConfig {
            client_cert: certificate.into(),
            client_key: key.into(),
        });
        self
    }

    /// Sets how long connecting to a server may take, with TLS and login; a day at most.
    /// Default: 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets how long to wait for the answer to a request that was sent; a day at most.
    /// Default: 2 s.
    ///
    /// The connection is not used again for others after that.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.limits.response_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets how long an operation may take in all: with connecting, repeats, and the read that
    /// settles a write of unknown outcome; a day at most. Default: 5 s.
    ///
    /// Bulk operations, listing, `clear` and `destroy` may take this long for each of their steps,
    /// which are of up to 256 entries or a page of the listing.
    pub fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.limits.operation_timeout = timeout.min(LONGEST_TIMEOUT);
        self
    }

    /// Sets how often a request is repeated that failed and may succeed yet. Default: 3.
    ///
    /// Reads are repeated. Writes are when it is certain that the server did not do them, and never
    /// else. The first repeat waits up to 20 ms, each later one up to twice as long, half a second
    /// at most.
    pub fn retries(mut self, retries: u32) -> Self {
        self.limits.retries = retries;
        self
    }

    /// Sets the longest value, in bytes; 511 MiB at most. Default: 16 MiB.
    pub fn max_value_bytes(mut self, bytes: u64) -> Self {
        self.max_value_bytes = bytes.min(MAX_VALUE_BYTES);
        self
    }

    /// Allows [`destroy`](kv_core::Store::destroy), which removes the entries of all programs that
    /// use the database as such a store. Default: not allowed.
    pub fn allow_destroy(mut self) -> Self {
        self.allow_destroy = true;
        self
    }

    /// Sets the clock that decides liveness. Default: the system's clock.
    ///
    /// The server reclaims entries by a clock of its own.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Checks the addresses and makes the store. Connects to nothing: the first operation does.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] for a URL that is none of Redis, for no URL, and for a certificate
    /// that cannot be read or is not for `rediss://`. No error repeats a URL.
    pub fn build(self) -> Result<RedisStore> {
        let (link, places) = self.link()?;
        Ok(RedisStore::from_config(Config {
            link,
            places,
            allow_destroy: self.allow_destroy,
            max_value_bytes: self.max_value_bytes,
            clock: self
                .clock
                .unwrap_or_else(|| Arc::new(SystemClock::default())),
        }))
    }

    fn link(&self) -> Result<(Link, Vec<String>)> {
        let limits = self.limits;
        match &self.target {
            Target::Server(url) => self.one(parse(url)?),
            Target::Client(info) => self.one(info.clone()),
            Target::Cluster(urls) => {
                let infos = self.all(urls)?;
                let template = self.log_in(infos[0].clone());
                if template.redis_settings().db() != 0 {
                    return Err(unavailable("a cluster has no database but 0", None));
                }
                let seeds = infos.iter().map(|info| match info.addr() {
                    ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                        Ok((host.clone(), *port))
                    }
                    _ => Err(unavailable("a cluster has no sockets for addresses", None)),
                });
                let cluster = Cluster::new(template, seeds.collect::<Result<_>>()?, limits);
                Ok((Link::cluster(cluster, limits), places(&infos)))
            }
            Target::Sentinel { urls, master } => {
                let infos = self.all(urls)?;
                let dial = || {
                    self.sentinel(&infos, master)
                        .map_err(|error| invalid(&error))
                };
                let node = Node::new(dial()?, limits, Arc::default());
                Ok((Link::one(node, dial()?, limits), places(&infos)))
            }
        }
    }

    fn one(&self, info: ConnectionInfo) -> Result<(Link, Vec<String>)> {
        let info = self.log_in(self.secure(info)?);
        let places = places(std::slice::from_ref(&info));
        let client = Client::open(info).map_err(|error| invalid(&error))?;
        let watched = Dial::Direct(client.clone());
        let node = Node::new(Dial::Direct(client), self.limits, Arc::default());
        Ok((Link::one(node, watched, self.limits), places))
    }

    fn all(&self, urls: &[String]) -> Result<Vec<ConnectionInfo>> {
        if urls.is_empty() {
            return Err(unavailable("it was given no URL", None));
        }
        urls.iter().map(|url| self.secure(parse(url)?)).collect()
    }

    /// Adds what the connections to a server need.
    fn log_in(&self, info: ConnectionInfo) -> ConnectionInfo {
        // Only with this version of the protocol does the driver tell of a broken connection.
        let mut login = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        if let Some(db) = self.db {
            login = login.set_db(i64::from(db));
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        info.set_redis_settings(login).set_tcp_settings(tcp)
    }

    /// Adds the certificates, and sees to the provider of cryptography that TLS needs.
    fn secure(&self, info: ConnectionInfo) -> Result<ConnectionInfo> {
        let certificates = self.certificates();
        if !matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            return match certificates {
                Some(_) => Err(unavailable("certificates are for rediss:// only", None)),
                None => Ok(info),
            };
        }
        if CryptoProvider::get_default().is_none() {
            // Fails only when another thread was quicker, whose choice holds then.
            let _ = aws_lc_rs::default_provider().install_default();
        }
        let Some(certificates) = certificates else {
            return Ok(info);
        };
        let client = Client::build_with_tls(info, certificates).map_err(|error| invalid(&error))?;
        Ok(client.get_connection_info().clone())
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        let any = self.root_certificate.is_some() || self.client_certificate.is_some();
        any.then(|| TlsCertificates {
            client_tls: self.client_certificate.clone(),
            root_cert: self.root_certificate.clone(),
        })
    }

    fn sentinel(&self, infos: &[ConnectionInfo], master: &str) -> RedisResult<Dial> {
        let tcp = TcpSettings::default().set_nodelay(true);
        let addresses = infos.iter().map(|info| info.addr().clone());
        let mut builder =
            SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_tcp_settings(tcp)
                .set_client_to_redis_db(self.db.map_or(infos[0].redis_settings().db(), i64::from));
        if let Some(username) = &self.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(username) = infos[0].redis_settings().username() {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = infos[0].redis_settings().password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
        if let ConnectionAddr::TcpTls { .. } = infos[0].addr() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
            if let Some(certificates) = self.certificates() {
                builder = builder.set_client_to_redis_certificates(certificates);
            }
        }
        Ok(Dial::Sentinel {
            client: Mutex::new(builder.build()?),
            sentinels: u32::try_from(infos.len()).unwrap_or(u32::MAX),
        })
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("limits", &self.limits)
            .field("allow_destroy", &self.allow_destroy)
            .field("max_value_bytes", &self.max_value_bytes)
            .finish_non_exhaustive()
    }
}

fn parse(url: &str) -> Result<ConnectionInfo> {
    url.into_connection_info().map_err(|error| invalid(&error))
}

/// Tells of an address or a certificate that cannot be used, and repeats neither.
fn invalid(error: &RedisError) -> Error {
    let reason = match error.kind() {
        redis::ErrorKind::InvalidClientConfig => {
            "a URL is not of the form redis://[user:password@]host[:port][/db], rediss://... with \
             TLS, or redis+unix:///path"
        }
        _ => "a certificate or key is not valid PEM",
    };
    Error::Unavailable {
        store: STORE,
        reason: reason.to_owned(),
        source: None,
    }
}

/// Returns host and port, or the path, of each address.
fn places(infos: &[ConnectionInfo]) -> Vec<String> {
    infos.iter().map(|info| info.addr().to_string()).collect()
}
