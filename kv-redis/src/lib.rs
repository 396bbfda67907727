#![doc = include_str!("../README.md")]

mod builder;
mod bulk;
mod error;
mod inbox;
mod link;
mod listing;
mod name;
mod record;
mod script;
mod store;
mod watch;
mod write;

pub use builder::RedisStoreBuilder;
pub use store::RedisStore;
