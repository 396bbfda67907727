//! [`AtVersion`]: a client that asks for one version.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Client, Result, value_of};
use crate::types::{CallToolResult, GetPromptResult, ReadResourceResult, RequestMetaObject};
use crate::version::{FASTMCP, VERSION};

/// A [`Client`] that asks for one version of the components that it uses. Made by
/// [`Client::at_version`].
///
/// The errors are those of the client's own methods; a component that is not there in this version
/// is [`ClientError::Refused`](super::ClientError::Refused).
#[derive(Clone, Debug)]
pub struct AtVersion<'a> {
    client: &'a Client,
    version: String,
}

impl<'a> AtVersion<'a> {
    pub(super) const fn new(client: &'a Client, version: String) -> Self {
        Self { client, version }
    }

    /// Calls a tool, as [`Client::call_tool`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn call_tool<T: DeserializeOwned>(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<T> {
        value_of(&self.call_tool_result(name, arguments).await?)
    }

    /// Calls a tool, as [`Client::call_tool_result`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn call_tool_result(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<CallToolResult> {
        self.client.call(name, Some(&self.version), arguments).await
    }

    /// Reads a resource, as [`Client::read_resource`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn read_resource(&self, uri: &str) -> Result<ReadResourceResult> {
        self.client.read(uri, Some(&self.version)).await
    }

    /// Renders a prompt, as [`Client::get_prompt`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_prompt(
        &self,
        name: &str,
        arguments: impl Serialize,
    ) -> Result<GetPromptResult> {
        self.client
            .render(name, Some(&self.version), arguments)
            .await
    }
}

/// Adds the version that is asked for, if any is, to what a request says beside its parameters.
pub(super) fn meta(
    meta: Option<RequestMetaObject>,
    version: Option<&str>,
) -> Option<RequestMetaObject> {
    let Some(version) = version else {
        return meta;
    };
    let mut meta = meta.unwrap_or_default();
    meta.insert(FASTMCP.to_owned(), json!({ VERSION: version }));
    Some(meta)
}
