//! Who calls: [`Principal`], put into the HTTP request by whatever authenticated it.

mod principal;

pub(crate) use principal::Caller;
pub use principal::Principal;
