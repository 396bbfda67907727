//! From what a tool's function returns to its result, by what its type can do.
//!
//! The traits of the probe are tried in the order of their number of references, most first: a
//! method call `(&&&probe).method()` finds the first whose bounds the type meets.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::tools::OutputShape;
use crate::types::MetaObject;
use crate::{ToolError, ToolResult};

/// Makes the `_meta` of a definition.
#[must_use]
pub fn meta<const N: usize>(pairs: [(&str, Value); N]) -> MetaObject {
    let pairs = pairs.into_iter();
    MetaObject(pairs.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A probe for the type that a tool's function returns.
#[derive(Debug)]
pub struct ToolOutput<T>(PhantomData<fn() -> T>);

impl<T> ToolOutput<T> {
    /// Makes the probe.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only macros make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Types that are a tool's result, or contents of one.
pub trait Ready<T> {
    /// Returns how values of the type become structured results.
    fn shape(&self) -> OutputShape;

    /// Makes the result of `value`.
    ///
    /// # Errors
    ///
    /// None.
    fn result(&self, value: T, shape: &OutputShape) -> Result<ToolResult, ToolError>;
}

impl<T: Into<ToolResult>> Ready<T> for &&ToolOutput<T> {
    fn shape(&self) -> OutputShape {
        OutputShape::Unknown
    }

    fn result(&self, value: T, _: &OutputShape) -> Result<ToolResult, ToolError> {
        Ok(value.into())
    }
}

/// Types with a JSON form and its schema.
pub trait Described<T> {
    /// Returns how values of the type become structured results.
    fn shape(&self) -> OutputShape;

    /// Makes the result of `value`.
    ///
    /// # Errors
    ///
    /// A masked error when `value` has no JSON.
    fn result(&self, value: T, shape: &OutputShape) -> Result<ToolResult, ToolError>;
}

impl<T: Serialize + JsonSchema> Described<T> for &ToolOutput<T> {
    fn shape(&self) -> OutputShape {
        OutputShape::of::<T>()
    }

    fn result(&self, value: T, shape: &OutputShape) -> Result<ToolResult, ToolError> {
        shape.result(&value)
    }
}

/// Types with a JSON form.
pub trait Serialized<T> {
    /// Returns how values of the type become structured results.
    fn shape(&self) -> OutputShape;

    /// Makes the result of `value`.
    ///
    /// # Errors
    ///
    /// A masked error when `value` has no JSON.
    fn result(&self, value: T, shape: &OutputShape) -> Result<ToolResult, ToolError>;
}

impl<T: Serialize> Serialized<T> for ToolOutput<T> {
    fn shape(&self) -> OutputShape {
        OutputShape::Unknown
    }

    fn result(&self, value: T, shape: &OutputShape) -> Result<ToolResult, ToolError> {
        shape.result(&value)
    }
}
