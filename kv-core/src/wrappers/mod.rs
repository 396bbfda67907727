#![doc = include_str!("../docs/wrappers.md")]

mod cached;
#[cfg(feature = "compression")]
mod compressed;
mod default_value;
mod fallback;
pub(crate) mod forward;
mod limit_size;
mod operation;
mod prefix;
mod prefix_collections;
mod prefix_keys;
mod read_only;
mod remove;
mod rename;
mod retry;
mod routing;
mod single_collection;
mod single_flight;
mod stats;
mod timeout;
mod traced;
mod ttl_clamp;

pub use cached::Cached;
#[cfg(feature = "compression")]
pub use compressed::Compressed;
pub use default_value::DefaultValue;
pub use fallback::Fallback;
pub use limit_size::LimitSize;
pub use operation::Operation;
pub use prefix_collections::PrefixCollections;
pub use prefix_keys::PrefixKeys;
pub use read_only::ReadOnly;
pub use retry::Retry;
pub use routing::Routing;
pub use single_collection::SingleCollection;
pub use single_flight::SingleFlight;
pub use stats::{Latency, OperationStats, Stats, StatsSnapshot};
pub use timeout::Timeout;
pub use traced::Traced;
pub use ttl_clamp::TtlClamp;
