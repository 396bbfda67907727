#![doc = include_str!("../README.md")]

mod attempt;
mod batch;
mod builder;
mod cursor;
mod error;
mod item;
mod link;
mod listing;
mod single;
mod store;
mod table;

pub use aws_config;
pub use aws_sdk_dynamodb;

pub use builder::DynamoDbStoreBuilder;
pub use error::AwsError;
pub use store::DynamoDbStore;
