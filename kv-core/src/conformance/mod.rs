//! The suite that every backend and wrapper runs: one named test for each sentence of the
//! contract in [`Store`], races, and a model test.
//!
//! [`conformance_tests!`](crate::conformance_tests) stamps it into the test module it is called in,
//! which may be one of many. It takes an `async fn` that makes a [`Fixture`] around a new store:
//!
//! ```
//! use std::sync::Arc;
//! use kv_core::conformance::Fixture;
//! use kv_core::{ManualClock, Store};
//! # fn memory_store(_: Arc<ManualClock>) -> Arc<dyn Store> {
//! #     unreachable!("documentation runs no suite")
//! # }
//!
//! async fn make(clock: Arc<ManualClock>) -> Fixture<impl Store> {
//!     Fixture::new(memory_store(clock))
//! }
//!
//! kv_core::conformance_tests!(make);
//! ```
//!
//! # What a maker must know
//!
//! - The store must use the clock it is given. That starts at the system's present, and no entry
//!   that a case expects to be live has less than an hour to live, so a service that expires by a
//!   clock of its own agrees.
//! - Each case calls the maker once (two compare two stores) and uses random collection names, so
//!   makers may share one service among tests that run at the same time. Only a few cases list,
//!   cull or destroy everything. For those, give a maker of stores that nobody else uses:
//!   `conformance_tests!(make, alone = make_alone)`. A random collection prefix is enough.
//! - A wrapper that makes names longer says how long they may be:
//!   [`Fixture::with_longest_names`].
//! - A wrapper runs the suite with neutral options. There is no way to skip a case.
//!
//! Records that cannot be read are made by other means on each backend.
//! [`undecodable_tests!`](crate::undecodable_tests) has the cases for them.
//!
//! Every case also claims that no crate logs its values, at any level: under nextest, where a case
//! has a process to itself, or in a program without a subscriber of its own.
//!
//! What wraps a store is tested over one that fails, too: [`FaultStore`].
//!
//! # Environment
//!
//! The model test runs `KV_CONFORMANCE_SEQUENCES` random sequences of 60 operations on average
//! (default: 64) from the seed `KV_CONFORMANCE_SEED` (default: 0). A failure shows its seed and the
//! smallest sequence found.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a case fails by panicking, and its name is its claim"
)]

mod canary;
mod fault;
mod macros;
mod subject;

#[doc(hidden)]
pub mod bulk;
#[doc(hidden)]
pub mod cancel;
#[doc(hidden)]
pub mod distinct;
#[doc(hidden)]
pub mod expiry;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod modes;
#[doc(hidden)]
pub mod names;
#[doc(hidden)]
pub mod paging;
#[doc(hidden)]
pub mod race;
#[doc(hidden)]
pub mod remove;
#[doc(hidden)]
pub mod revisions;
#[doc(hidden)]
pub mod times;
#[doc(hidden)]
pub mod undecodable;
#[doc(hidden)]
pub mod values;
#[doc(hidden)]
pub mod whole;

pub use canary::forms;
pub use fault::{Fault, FaultStore, WithoutBulk};
pub use subject::{Fixture, Subject};

#[cfg(doc)]
use crate::Store;
