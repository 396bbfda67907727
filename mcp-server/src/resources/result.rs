//! [`ResourceResult`]: what a read answers.

use crate::types::{ReadResourceResult, ResourceContents};

/// What a read answers: one or more contents, each with its URI.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ResourceResult {
    /// The contents, in order.
    pub contents: Vec<ResourceContents>,
}

impl ResourceResult {
    /// Makes a result of `contents`.
    #[must_use]
    pub const fn new(contents: Vec<ResourceContents>) -> Self {
        Self { contents }
    }

    /// Returns the result as `resources/read` answers it.
    pub(crate) fn into_wire(self) -> ReadResourceResult {
        ReadResourceResult::new(self.contents)
    }
}

impl From<ResourceContents> for ResourceResult {
    fn from(contents: ResourceContents) -> Self {
        Self::new(vec![contents])
    }
}

impl From<Vec<ResourceContents>> for ResourceResult {
    fn from(contents: Vec<ResourceContents>) -> Self {
        Self::new(contents)
    }
}
