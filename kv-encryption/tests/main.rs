//! The tests of kv-encryption.

mod conformance;
mod killed;
mod rotate;
mod support;
mod tamper;
mod vectors;
