//! [`JsonFault`]: what was wrong with a JSON text, without quoting it.

use std::fmt;

use serde_json::error::Category;

use crate::Error;

/// What `serde_json` found, and where. Its own text repeats parts of the value, and errors are
/// logged.
#[derive(Debug)]
pub(crate) struct JsonFault {
    what: &'static str,
    /// Line and column; 0 when they are not known.
    place: (usize, usize),
}

impl JsonFault {
    fn new(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Data => "the data does not match the type asked for",
            Category::Eof => "the text ends too early",
            Category::Syntax | Category::Io => "the text is not JSON that can be read",
        };
        Self {
            what,
            place: (error.line(), error.column()),
        }
    }

    /// Makes an [`Error::Decode`].
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
    pub(crate) fn decode(error: serde_json::Error) -> Error {
        Error::decode(Self::new(&error))
    }

    /// Makes an [`Error::Encode`].
    #[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` calls")]
    pub(crate) fn encode(error: serde_json::Error) -> Error {
        let what = match error.classify() {
            Category::Io => "the text could not be written",
            _ => "a part of it has no form in JSON",
        };
        Self::in_encode(what)
    }

    /// Makes the [`Error::Encode`] of a value that no reader would take.
    pub(crate) fn too_deep() -> Error {
        Self::in_encode("it is nested deeper than 127 levels")
    }

    fn in_encode(what: &'static str) -> Error {
        let place = (0, 0);
        Error::encode(Self { what, place })
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        match self.place {
            (0, _) => Ok(()),
            (line, column) => write!(f, " at line {line} column {column}"),
        }
    }
}

impl std::error::Error for JsonFault {}
