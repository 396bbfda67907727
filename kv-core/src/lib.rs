#![doc = include_str!("../README.md")]

mod clock;
mod entry;
mod error;
pub mod name;
mod page;
mod store;
mod value;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use entry::{Entry, Revision};
pub use error::{DecryptKind, Error, Result, Source};
pub use page::{CollectionPage, Cursor, KeyPage, KeyQuery};
pub use store::{PutMode, Store, StoreInfo};
pub use value::Value;
