//! The tests that need a DynamoDB.

mod conformance;
mod support;
