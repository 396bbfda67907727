//! [`HttpResource`]: what a web address answers, as a resource.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, Url};

use super::contents::{MAX_FILE_BYTES, contents_of};
use super::{Resource, ResourceDefinition, ResourceRequest, ResourceResult};
use crate::private::boxed;
use crate::{BoxFuture, Context, Error, ResourceError, Result};

/// How long an answer may take, unless the resource says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a web server may send the request elsewhere.
const MAX_REDIRECTS: usize = 5;

/// The longest media type that is handed on, in bytes.
const MAX_TYPE_BYTES: usize = 128;

/// What a web address answers to GET, as a resource: fetched anew for each read.
///
/// It is text when it is UTF-8, else bytes. Its media type is that of the definition, or else the
/// one that the web server tells. Up to 5 redirects are followed, never from `https:` to `http:`,
/// and none to another origin where there are headers to send. A client learns the status of an
/// answer that is no success, that it took too long and that it is too large, and nothing else of
/// why the address cannot be read.
///
/// The address is the author's. To fetch what a client names, write a function that decides what it
/// may reach.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mcp_server::{HttpResource, Server};
///
/// let rates = HttpResource::new("rates://today", "https://example.com/rates.json")?
///     .with_timeout(Duration::from_secs(5));
/// let server = Server::builder("Test").resource(rates).build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpResource {
    definition: ResourceDefinition,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    max_bytes: u64,
    client: Client,
}

impl HttpResource {
    /// Makes a resource of the address `url`, of `definition` or of a URI by whose end it is called.
    /// Asks nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidComponent`] when `url` is no `http:` or `https:` address with a host.
    pub fn new(definition: impl Into<ResourceDefinition>, url: &str) -> Result<Self> {
        let definition = definition.into();
        let invalid = |reason: String| Error::InvalidComponent {
            kind: "resource",
            name: definition.uri.clone(),
            reason,
        };
        let url = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| invalid("it is not of an http: or https: address".to_owned()))?;
        let client = client(false).map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            definition,
            url,
            headers: HeaderMap::new(),
            timeout: TIMEOUT,
            max_bytes: MAX_FILE_BYTES,
            client,
        })
    }

    /// Adds a header to the requests, such as one that authenticates the server. It goes to the
    /// address's own origin only.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidComponent`] when the system gives no TLS configuration.
    pub fn with_header(mut self, name: HeaderName, mut value: HeaderValue) -> Result<Self> {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self.client = client(true).map_err(|error| Error::InvalidComponent {
            kind: "resource",
            name: self.definition.uri.clone(),
            reason: error.to_string(),
        })?;
        Ok(self)
    }

    /// Sets how long an answer may take, its body included. Default: 30 s.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how large an answer is read. Default: 10 MiB.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    async fn fetch(&self, uri: String) -> Result<ResourceResult, ResourceError> {
        let request = self.client.get(self.url.clone());
        let request = request.headers(self.headers.clone()).timeout(self.timeout);
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let status = response.status();
        if !status.is_success() {
            let message = format!("the web server answers {status}");
            return Err(ResourceError::new(message));
        }
        let told = media_type(response.headers());
        let mime_type = self.definition.mime_type.clone().or(told);
        let data = self.body(response).await?;
        Ok(contents_of(data, uri, mime_type.as_deref()).into())
    }

    /// Reads a body as far as it may go. What its length is announced to be is not believed.
    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ResourceError> {
        let mut data = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.failed(error))? {
            let length = u64::try_from(data.len() + piece.len()).unwrap_or(u64::MAX);
            if length > self.max_bytes {
                let message = format!("the answer has more than {} bytes", self.max_bytes);
                return Err(ResourceError::new(message));
            }
            data.extend_from_slice(&piece);
        }
        Ok(data)
    }

    /// Says why there is no answer. The address may hold a secret, so it does not show.
    fn failed(&self, error: reqwest::Error) -> ResourceError {
        if error.is_timeout() {
            let message = format!("the web server took longer than {:?}", self.timeout);
            return ResourceError::new(message);
        }
        ResourceError::internal(error.without_url())
    }
}

/// Makes a client that follows redirects, with `stays` only those to the same origin.
fn client(stays: bool) -> reqwest::Result<Client> {
    let follow = move |attempt: Attempt<'_>| {
        let from = attempt.previous().last();
        let is_downgrade =
            from.is_some_and(|from| from.scheme() == "https" && attempt.url().scheme() != "https");
        let leaves = from.is_some_and(|from| from.origin() != attempt.url().origin());
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("it redirects more than 5 times")
        } else if is_downgrade {
            attempt.error("it redirects from https: to http:")
        } else if stays && leaves {
            attempt.error("it redirects to another origin, which may not get the headers")
        } else {
            attempt.follow()
        }
    };
    Client::builder()
        .redirect(Policy::custom(follow))
        .referer(false)
        .build()
}

/// Returns the media type of an answer without its parameters, if it is one.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    let is_one = essence.len() <= MAX_TYPE_BYTES && essence.split('/').count() == 2;
    is_one.then(|| essence.to_ascii_lowercase())
}

impl Resource for HttpResource {
    fn definition(&self) -> ResourceDefinition {
        self.definition.clone()
    }

    fn read(
        &self,
        _cx: Context,
        request: ResourceRequest,
    ) -> BoxFuture<'_, Result<ResourceResult, ResourceError>> {
        boxed(self.fetch(request.uri))
    }
}

/// The address without what may be secret in it.
impl fmt::Debug for HttpResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResource")
            .field("uri", &self.definition.uri)
            .field("host", &self.url.host_str())
            .finish_non_exhaustive()
    }
}
