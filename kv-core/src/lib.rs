#![doc = include_str!("../README.md")]

mod aside;
mod clock;
mod collection;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entry;
pub mod envelope;
mod error;
mod ext;
mod json;
pub mod name;
mod page;
mod store;
mod value;
mod watch;
pub mod wrappers;

pub use aside::aside;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use collection::{Collection, Items};
pub use entry::{Entry, Revision};
pub use error::{DecryptKind, Error, Result, Source};
pub use ext::StoreExt;
pub use page::{CollectionPage, Cursor, KeyPage, KeyQuery};
pub use store::{PutMode, Store, StoreInfo};
pub use value::Value;
pub use watch::{Change, Watch};
