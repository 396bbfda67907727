//! What the tests across the crates share.

use std::env;
use std::path::{Path, PathBuf};

pub mod canary;
pub mod services;

/// Returns the Python interpreter that has the libraries of `dev/requirements.txt`.
///
/// `MCP_TEST_PYTHON` names it; without the variable it is the one of `dev/.venv`.
///
/// # Panics
///
/// When there is none: `dev/test` makes it.
#[must_use]
pub fn python() -> PathBuf {
    interpreter("MCP_TEST_PYTHON", "dev/.venv/bin/python")
}

/// Returns the Python interpreter that has the libraries of `dev/requirements-kv.txt`.
///
/// `KV_TEST_PYTHON` names it; without the variable it is the one of `dev/.venv-kv`.
///
/// # Panics
///
/// When there is none: `dev/test` makes it.
#[must_use]
pub fn kv_python() -> PathBuf {
    interpreter("KV_TEST_PYTHON", "dev/.venv-kv/bin/python")
}

fn interpreter(variable: &str, default: &str) -> PathBuf {
    let python = env::var_os(variable).map_or_else(|| workspace().join(default), PathBuf::from);
    assert!(
        python.exists(),
        "there is no Python at {}: run dev/test once, which installs it",
        python.display()
    );
    python
}

/// Returns the root folder of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    const TESTS: &str = env!("CARGO_MANIFEST_DIR");
    Path::new(TESTS).parent().unwrap_or(Path::new(TESTS))
}

/// The examples of the workspace's README compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
