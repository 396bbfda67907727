//! From what a resource's function returns to its result, by what its type can do, as
//! [`output`](super::output) does for tools.

use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::types::{Annotations, ResourceContents, Role};
use crate::{ResourceError, ResourceResult};

/// Makes the annotations of a resource.
#[must_use]
pub fn annotations<const N: usize>(
    audience: [Role; N],
    priority: Option<f32>,
    last_modified: Option<&str>,
) -> Annotations {
    let mut annotations = Annotations::default();
    annotations.audience = (N > 0).then(|| audience.into());
    annotations.priority = priority;
    annotations.last_modified = last_modified.map(str::to_owned);
    annotations
}

/// A probe for the type that a resource's function returns.
#[derive(Debug)]
pub struct ReadOutput<T>(PhantomData<fn() -> T>);

impl<T> ReadOutput<T> {
    /// Makes the probe.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only macros make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Types that are contents.
pub trait ReadyContents<T> {
    /// Makes the result of reading `value` at `uri`; `mime_type` is the one declared.
    ///
    /// # Errors
    ///
    /// None.
    fn result(
        &self,
        value: T,
        uri: String,
        mime_type: Option<&str>,
    ) -> Result<ResourceResult, ResourceError>;
}

impl<T: IntoContents> ReadyContents<T> for &ReadOutput<T> {
    fn result(
        &self,
        value: T,
        uri: String,
        mime_type: Option<&str>,
    ) -> Result<ResourceResult, ResourceError> {
        Ok(value.into_contents(uri, mime_type))
    }
}

/// Types with a JSON form.
pub trait SerializedContents<T> {
    /// Makes the result of reading `value` at `uri`; `mime_type` is the one declared.
    ///
    /// # Errors
    ///
    /// A masked error when `value` has no JSON.
    fn result(
        &self,
        value: T,
        uri: String,
        mime_type: Option<&str>,
    ) -> Result<ResourceResult, ResourceError>;
}

impl<T: Serialize> SerializedContents<T> for ReadOutput<T> {
    fn result(
        &self,
        value: T,
        uri: String,
        mime_type: Option<&str>,
    ) -> Result<ResourceResult, ResourceError> {
        let (text, default) = match serde_json::to_value(&value)? {
            Value::String(text) => (text, "text/plain"),
            value => (value.to_string(), "application/json"),
        };
        let contents = ResourceContents::text(text, uri);
        Ok(contents.with_mime_type(mime_type.unwrap_or(default)).into())
    }
}

/// What a function may return that is not written as JSON.
pub trait IntoContents {
    /// Makes the contents at `uri`; `mime_type` is the one declared.
    fn into_contents(self, uri: String, mime_type: Option<&str>) -> ResourceResult;
}

impl IntoContents for Vec<u8> {
    fn into_contents(self, uri: String, mime_type: Option<&str>) -> ResourceResult {
        let blob = ResourceContents::blob(BASE64_STANDARD.encode(self), uri);
        let mime_type = mime_type.unwrap_or("application/octet-stream");
        blob.with_mime_type(mime_type).into()
    }
}

impl IntoContents for Bytes {
    fn into_contents(self, uri: String, mime_type: Option<&str>) -> ResourceResult {
        Vec::from(self).into_contents(uri, mime_type)
    }
}

impl IntoContents for ResourceContents {
    fn into_contents(self, uri: String, mime_type: Option<&str>) -> ResourceResult {
        vec![self].into_contents(uri, mime_type)
    }
}

impl IntoContents for Vec<ResourceContents> {
    fn into_contents(self, uri: String, mime_type: Option<&str>) -> ResourceResult {
        ResourceResult::new(self).into_contents(uri, mime_type)
    }
}

impl IntoContents for ResourceResult {
    fn into_contents(mut self, _: String, mime_type: Option<&str>) -> ResourceResult {
        for contents in &mut self.contents {
            let (ResourceContents::TextResourceContents { mime_type: own, .. }
            | ResourceContents::BlobResourceContents { mime_type: own, .. }) = contents
            else {
                continue;
            };
            if own.is_none() {
                *own = mime_type.map(str::to_owned);
            }
        }
        self
    }
}
