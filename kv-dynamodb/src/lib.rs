//! Will be the DynamoDB backend of the kv store family: `DynamoDbStore`, a [`Store`] whose items
//! Python's py-key-value-aio reads and writes too. It holds no code yet.
//!
//! [`Store`]: https://docs.rs/kv-core
