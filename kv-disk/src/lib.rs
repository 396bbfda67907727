#![doc = include_str!("../README.md")]

mod builder;
mod change;
mod cursor;
mod database;
mod engine;
mod error;
#[cfg(test)]
mod faults;
mod file;
mod integrity;
mod log;
mod open;
mod queue;
mod record;
mod redo;
mod store;
mod table;
mod transaction;
mod writer;

pub use builder::{DiskStoreBuilder, Durability, Reads};
pub use store::DiskStore;

#[cfg(fuzzing)]
#[doc(hidden)]
pub use record::fuzz_record;
