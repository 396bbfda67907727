//! Will be the encryption wrapper of the kv store family: `FernetStore`, which encrypts the values
//! of any [`Store`], binds each to its name, and rotates keys on a live store. It holds no code yet.
//!
//! [`Store`]: https://docs.rs/kv-core
