//! Calls that go on after their answer, as tasks (SEP-2663, `io.modelcontextprotocol/tasks`).

mod options;
mod record;
mod run;
mod running;

pub use options::TaskOptions;
pub(crate) use record::{Beginning, Record};
pub(crate) use run::{TaskRun, Tasks, unusable};
pub(crate) use running::TaskLimits;
