#![doc = include_str!("../README.md")]

mod builder;
mod index;
mod locks;
mod name;
mod store;
mod sweep;

pub use builder::MemoryStoreBuilder;
pub use store::MemoryStore;
