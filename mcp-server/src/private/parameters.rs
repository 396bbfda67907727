//! [`Parameters`]: taking apart what stands in a resource's URI.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::str::FromStr;

use crate::ResourceError;

/// What stands in a resource's URI for each name of its template.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Begins to take `values` apart.
    #[must_use]
    pub const fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// Takes the parameter `name`.
    ///
    /// # Errors
    ///
    /// A visible error that names the parameter, when it is missing or no `T`.
    pub fn take<T: FromStr + 'static>(&mut self, name: &str) -> Result<T, ResourceError> {
        self.take_optional(name)?
            .ok_or_else(|| ResourceError::invalid_arguments(format!("missing parameter `{name}`")))
    }

    /// Takes the parameter `name`, which may be missing.
    ///
    /// # Errors
    ///
    /// A visible error that names the parameter, when it is no `T`.
    pub fn take_optional<T: FromStr + 'static>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, ResourceError> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        let is_bool = TypeId::of::<T>() == TypeId::of::<bool>();
        let text = if is_bool { plain_bool(&text) } else { &text };
        let value = text.parse().map_err(|_| {
            let kind = type_name::<T>().rsplit("::").next().unwrap_or_default();
            ResourceError::invalid_arguments(format!("parameter `{name}` is not a valid {kind}"))
        })?;
        Ok(Some(value))
    }
}

/// Returns the way `bool` is written in Rust, for the ways it is written in URIs and in text.
pub(super) fn plain_bool(text: &str) -> &str {
    match text {
        "1" | "yes" => "true",
        "0" | "no" => "false",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(value: &str) -> Parameters {
        Parameters::new(BTreeMap::from([("a".to_owned(), value.to_owned())]))
    }

    #[test]
    fn a_bool_may_be_written_in_several_ways() {
        for (text, value) in [("true", true), ("1", true), ("no", false), ("0", false)] {
            assert_eq!(parameters(text).take::<bool>("a").unwrap(), value);
        }
        assert_eq!(parameters("1").take::<u8>("a").unwrap(), 1);
        assert_eq!(parameters("yes").take::<String>("a").unwrap(), "yes");
    }

    #[test]
    fn an_error_names_the_parameter_and_not_its_value() {
        let error = parameters("secret").take::<u32>("a").unwrap_err();
        assert_eq!(error.message(), Some("parameter `a` is not a valid u32"));
        let error = parameters("maybe").take::<bool>("a").unwrap_err();
        assert_eq!(error.message(), Some("parameter `a` is not a valid bool"));
        let error = parameters("1").take::<u32>("b").unwrap_err();
        assert_eq!(error.message(), Some("missing parameter `b`"));
    }

    #[test]
    fn a_parameter_that_is_not_there_is_none() {
        assert_eq!(parameters("1").take_optional::<u8>("b").unwrap(), None);
        assert!(parameters("x").take_optional::<u8>("a").is_err());
    }
}
