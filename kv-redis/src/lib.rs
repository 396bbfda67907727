//! Will be the Redis backend of the kv store family: `RedisStore`, a [`Store`] whose records
//! Python's py-key-value-aio reads and writes too. It holds no code yet.
//!
//! [`Store`]: https://docs.rs/kv-core
