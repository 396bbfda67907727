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
        let own = self.by_owner.get(owner).copied().unwrap_or_default();
        let (whose, limit) = if own >= limits.per_user {
            ("of this user", limits.per_user)
        } else if self.by_id.len() >= limits.all {
            ("of this server", limits.all)
        } else {
            return Ok(());
        };
        let message = format!("too many tasks {whose} are unfinished; try again later");
        let data = json!({ "limit": limit });
        Err(ErrorData::internal_error(message, Some(data)))
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
        let here = self.by_id.get(&run.id);
        if here.is_some_and(|here| ptr::eq(&**here, run)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_takes_no_room_from_another() {
        let limits = TaskLimits {
            all: 10,
            per_user: 2,
        };
        let mut running = Running::default();
        running.by_owner.insert("ada".to_owned(), 2);
        let refusal = running.check_room("ada", limits).unwrap_err();
        assert_eq!(refusal.data, Some(json!({ "limit": 2 })));
        running.check_room("bob", limits).unwrap();
        running.forget("ada");
        running.check_room("ada", limits).unwrap();
    }
}
