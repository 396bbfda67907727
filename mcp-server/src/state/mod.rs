//! State that outlives a call: the scopes of [`Context`](crate::Context) over the server's store.
//!
//! | scope | key | lives | TTL |
//! | --- | --- | --- | --- |
//! | [`request_state`](crate::Context::request_state) | in memory | one call | |
//! | [`session_state`](crate::Context::session_state) | `{session id}:{key}` | one connection | 24 h |
//! | [`user_state`](crate::Context::user_state) | `user:{caller}:{key}` | one caller | 90 days; 24 h for an anonymous one |
//! | [`server_state`](crate::Context::server_state) | `server:{key}` | all callers | none |
//! | [`session`](crate::Context::session) | `session:{caller}:{handle}`, all values in one | one handle of one caller | 90 days; 24 h for an anonymous one |
//!
//! All entries are in the collection `fastmcp_state` as `{"value": ..}`, which for sessions is what
//! Python's FastMCP reads and writes.

mod handle;
mod request;
mod scope;
mod scoped;

pub(crate) use handle::session_tools;
pub use handle::{SessionId, StateHandle};
pub use request::RequestState;
pub(crate) use scope::Scope;
pub use scoped::{ScopedState, StateError};
