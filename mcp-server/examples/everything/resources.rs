//! Resources: what clients read by a URI.

use mcp_server::resource;
use serde::Serialize;

use crate::content::PIXEL;

/// A text that never changes.
#[resource("test://static-text", mime_type = "text/plain")]
pub(crate) async fn static_text() -> &'static str {
    "This is the content of the static text resource."
}

/// One red pixel.
#[resource("test://static-binary", mime_type = "image/png")]
pub(crate) async fn static_binary() -> Vec<u8> {
    PIXEL.to_vec()
}

/// Something to subscribe to.
#[resource("test://watched-resource", mime_type = "text/plain")]
pub(crate) async fn watched() -> &'static str {
    "Nothing has happened yet."
}

/// What [`template`] finds for an id.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Data {
    id: String,
    template_test: bool,
    data: String,
}

/// The data of any id.
#[resource("test://template/{id}/data", mime_type = "application/json")]
pub(crate) async fn template(#[complete("123", "456")] id: String) -> Data {
    let data = format!("Data for ID: {id}");
    Data {
        id,
        template_test: true,
        data,
    }
}
