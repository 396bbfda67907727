#![doc = include_str!("../README.md")]

mod key;
mod rotate;
mod seal;
mod store;

pub use key::{FernetKey, KeyError, KeyRing};
pub use rotate::{Failure, Rotation};
pub use store::{FernetStore, Format};
