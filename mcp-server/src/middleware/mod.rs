//! Middleware: what happens around each message of a client, on its way to what answers it.

mod around;
mod authorization;
mod cache;
mod error;
mod errors;
mod injection;
mod logging;
mod message;
mod next;
mod params;
mod rate;
mod rejected;
mod response_limit;
mod retry;
mod timing;

pub use around::Middleware;
pub use authorization::{Access, Authorization};
pub(crate) use cache::Cache;
pub use cache::{CacheHandle, CacheStatistics, CachedMethod, MethodStatistics, ResponseCaching};
pub use error::CallError;
pub use errors::ErrorHandling;
pub use injection::ToolInjection;
pub use logging::Logging;
pub use message::Message;
pub use next::Next;
pub(crate) use next::{Chain, End, NoEnd};
pub use params::{
    Answer, AnyParams, Discover, ListPrompts, ListResourceTemplates, ListResources, ListTools,
    Notification, OtherAnswer, OtherRequest, Params,
};
pub use rate::RateLimiting;
pub use rejected::Rejected;
pub(crate) use rejected::{Dispatched, watch};
pub use response_limit::ResponseLimiting;
pub use retry::Retry;
pub use timing::Timing;
