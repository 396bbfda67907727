#![doc = include_str!("../README.md")]

mod fernet;
mod key;
mod rotate;
mod seal;
mod store;
mod text;

pub use key::{FernetKey, KeyError, KeyRing};
pub use rotate::{Failure, Rotation};
pub use store::{FernetStore, Format};
