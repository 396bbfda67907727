//! [`Change`]: what [`Store::watch`](crate::Store::watch) tells.

use futures_util::stream::BoxStream;

/// The changes of a store as they become known. It never ends by itself; dropping it ends the
/// watch.
pub type Watch = BoxStream<'static, Change>;

/// What [`Store::watch`](crate::Store::watch) tells of the entries of a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// From here on every change is told; before it, nothing is known. What was read before may
    /// have changed unseen.
    Watching,
    /// Changes go unseen until the next [`Watching`](Self::Watching).
    Lost,
    /// The entry was written, removed or expired; or only its record was.
    #[allow(missing_docs, reason = "the variant's line says it")]
    Entry { collection: String, key: String },
}
