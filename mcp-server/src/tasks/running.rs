//! [`Running`]: which tasks run on this instance, and how many may.

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use rmcp::ErrorData;
use serde_json::json;

use super::TaskRun;

/// How many tasks may run here at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskLimits {
    pub(crate) all: usize,
    pub(crate) per_user: usize,
}

impl Default for TaskLimits {
    fn default() -> Self {
        Self {
            all: 10_000,
            per_user: 1_000,
        }
    }
}

/// Which tasks run here.
#[derive(Default)]
pub(super) struct Running {
    by_id: HashMap<String, Arc<TaskRun>>,
    /// How many each owner has; none that has none.
    by_owner: HashMap<String, usize>,
}

impl Running {
    /// Makes sure that there is room for one more task of `owner`.
    ///
    /// # Errors
    ///
    /// The answer to the call that would become it.
    pub(super) fn check_room(&self, owner: &str, limits: TaskLimits) -> Result<(), ErrorData> {
        let refuse = |whose, limit: usize| {
            let message = format!("too many tasks {whose} are unfinished; try again later");
            Err(ErrorData::internal_error(
                message,
                Some(json!({ "limit": limit })),
            ))
        };
        if self
            .by_owner
            .get(owner)
            .is_some_and(|own| *own >= limits.per_user)
        {
            return refuse("of this user", limits.per_user);
        }
        if self.by_id.len() >= limits.all {
            return refuse("of this server", limits.all);
        }
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<TaskRun>> {
        self.by_id.get(id)
    }

    pub(super) fn add(&mut self, run: &Arc<TaskRun>) {
        *self.by_owner.entry(run.owner.clone()).or_default() += 1;
        if let Some(before) = self.by_id.insert(run.id.clone(), Arc::clone(run)) {
            self.forget(&before.owner);
        }
    }

    pub(super) fn remove(&mut self, run: &TaskRun) {
        // The task may have come back here, after another runner had it.
        if self
            .by_id
            .get(&run.id)
            .is_some_and(|it| ptr::eq(&**it, run))
        {
            self.by_id.remove(&run.id);
            self.forget(&run.owner);
        }
    }

    /// Counts one task of `owner` less.
    fn forget(&mut self, owner: &str) {
        if let Some(count) = self.by_owner.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                self.by_owner.remove(owner);
            }
        }
    }
}
