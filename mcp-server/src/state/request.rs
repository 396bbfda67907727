//! [`RequestState`]: values of any type that live as long as one call.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values of any type, by name, that live as long as one call. Cloning shares them.
#[derive(Clone, Default)]
pub struct RequestState(Arc<Mutex<Values>>);

type Values = HashMap<String, Arc<dyn Any + Send + Sync>>;

impl RequestState {
    /// Returns the value of `key`, if it is a `T`.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self, key: &str) -> Option<Arc<T>> {
        let value = self.values().get(key).map(Arc::clone)?;
        value.downcast().ok()
    }

    /// Sets the value of `key`.
    pub fn set<T: Send + Sync + 'static>(&self, key: impl Into<String>, value: T) {
        self.values().insert(key.into(), Arc::new(value));
    }

    /// Removes the value of `key`, and tells whether there was one.
    #[expect(
        clippy::must_use_candidate,
        reason = "the answer is often of no interest"
    )]
    pub fn remove(&self, key: &str) -> bool {
        self.values().remove(key).is_some()
    }

    /// No value is left half changed, so a panic elsewhere does not spoil them.
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestState").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_absent() {
        let state = RequestState::default();
        state.set("n", 1_u8);
        assert!(state.get::<u16>("n").is_none());
        assert_eq!(state.get::<u8>("n").as_deref(), Some(&1));
    }
}
