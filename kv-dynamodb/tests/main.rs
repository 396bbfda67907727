//! The tests that need a DynamoDB.

mod conformance;
mod faults;
mod proxy;
mod python;
mod secrets;
mod size;
mod support;
mod table;
