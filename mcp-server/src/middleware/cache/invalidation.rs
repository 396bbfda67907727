//! [`CacheHandle`]: what answers are taken out of the cache by.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::CacheStatistics;
use super::engine::Cache;
use crate::{Error, Principal, Result};

/// How many labels are known one by one.
const MAX_LABELS: usize = 1_000;

/// What was taken out of the cache, all instances together.
///
/// An answer is good if nothing that it is labelled with was taken out since it was begun. That is
/// told by numbers and not by times, so that no clock is trusted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Invalidations {
    /// Of which record the numbers are: one that was lost begins again.
    pub(super) epoch: String,
    /// How often something was taken out.
    pub(super) count: u64,
    /// The number of the last time that everything was.
    everything: u64,
    /// The number of the last time, by label.
    labels: BTreeMap<String, u64>,
}

impl Invalidations {
    /// Makes a record that nothing was taken out of yet.
    pub(super) fn begin() -> Self {
        let mut epoch = [0; 8];
        getrandom::fill(&mut epoch).expect("the system has random numbers");
        Self {
            epoch: crate::hash::hex(&epoch),
            ..Self::default()
        }
    }

    /// Takes out what has this label; everything without one.
    pub(super) fn add(&mut self, label: Option<&str>) {
        self.count += 1;
        match label {
            Some(label) if self.labels.len() < MAX_LABELS || self.labels.contains_key(label) => {
                self.labels.insert(label.to_owned(), self.count);
            }
            _ => {
                self.everything = self.count;
                self.labels.clear();
            }
        }
    }

    /// Tells whether what was begun after so many times is still good.
    pub(super) fn allow(&self, count: u64, labels: impl FnOnce() -> Vec<String>) -> bool {
        if self.everything > count || self.labels.is_empty() {
            return self.everything <= count;
        }
        labels()
            .iter()
            .filter_map(|label| self.labels.get(label))
            .all(|last| *last <= count)
    }
}

/// Takes answers out of the cache of a [`ResponseCaching`](super::ResponseCaching), and tells how
/// often they were found. Cloning is cheap; [`State`](crate::State) gives it to tools.
///
/// What was taken out is not answered any more when a method returns, on this instance; on others
/// that share the server's store within 2 seconds. What is being made meanwhile is not kept.
///
/// # Errors
///
/// All methods that take out: [`Error::NotStarted`] before the server has started, and
/// [`Error::Store`] when the store fails.
///
/// # Examples
///
/// ```
/// use mcp_server::middleware::{CacheHandle, ResponseCaching};
/// use mcp_server::{Server, State, ToolError, tool};
///
/// /// Changes the news.
/// #[tool]
/// async fn publish(cache: State<CacheHandle>, text: String) -> Result<(), ToolError> {
///     // ..
///     cache.invalidate_tag("news").await?;
///     Ok(())
/// }
///
/// let caching = ResponseCaching::new();
/// let server = Server::builder("News")
///     .with_state(caching.handle())
///     .middleware(caching)
///     .tool(publish)
///     .build()?;
/// # Ok::<_, mcp_server::Error>(())
/// ```
#[derive(Clone)]
pub struct CacheHandle(Arc<Cache>);

impl CacheHandle {
    pub(super) const fn new(cache: Arc<Cache>) -> Self {
        Self(cache)
    }

    /// Takes out the results of a tool.
    ///
    /// # Errors
    ///
    /// As [`CacheHandle`] says.
    pub async fn invalidate_tool(&self, name: &str) -> Result<()> {
        self.invalidate(Some(format!("tool:{name}"))).await
    }

    /// Takes out the results of all tools with a tag.
    ///
    /// # Errors
    ///
    /// As [`CacheHandle`] says.
    pub async fn invalidate_tag(&self, tag: &str) -> Result<()> {
        self.invalidate(Some(format!("tag:{tag}"))).await
    }

    /// Takes out what was read at a URI.
    ///
    /// # Errors
    ///
    /// As [`CacheHandle`] says.
    pub async fn invalidate_resource(&self, uri: &str) -> Result<()> {
        self.invalidate(Some(format!("uri:{uri}"))).await
    }

    /// Takes out all that was answered to a caller.
    ///
    /// # Errors
    ///
    /// As [`CacheHandle`] says.
    pub async fn invalidate_principal(&self, principal: &Principal) -> Result<()> {
        let label = format!("caller:{}", principal.segment());
        self.invalidate(Some(label)).await
    }

    /// Takes out everything.
    ///
    /// # Errors
    ///
    /// As [`CacheHandle`] says.
    pub async fn invalidate_all(&self) -> Result<()> {
        self.invalidate(None).await
    }

    /// Tells how often answers were found, on this instance.
    #[must_use]
    pub fn statistics(&self) -> CacheStatistics {
        self.0.statistics()
    }

    async fn invalidate(&self, label: Option<String>) -> Result<()> {
        let components = self.0.components().ok_or(Error::NotStarted)?;
        self.0.invalidate(&components, label).await
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_before_it_was_taken_out_is_no_good() {
        let labels = |label: &str| {
            let labels = vec![label.to_owned()];
            move || labels
        };
        let mut taken = Invalidations::begin();
        assert!(taken.allow(0, labels("tool:a")));
        taken.add(Some("tool:a"));
        assert!(!taken.allow(0, labels("tool:a")));
        assert!(taken.allow(1, labels("tool:a")));
        assert!(taken.allow(0, labels("tool:b")));
        taken.add(None);
        assert!(!taken.allow(1, labels("tool:b")) && taken.allow(2, labels("tool:b")));
    }

    #[test]
    fn more_labels_than_are_known_mean_everything() {
        let mut taken = Invalidations::begin();
        for label in 0..=MAX_LABELS {
            taken.add(Some(&label.to_string()));
        }
        assert!(!taken.allow(0, || vec!["other".to_owned()]));
        assert!(taken.labels.is_empty());
    }
}
