//! A service that is away, silent, not ready, or refuses to talk to us.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use kv_core::{Error, PutMode, Store};
use kv_dynamodb::aws_config::{BehaviorVersion, Region, SdkConfig};
use kv_dynamodb::{AwsError, DynamoDbStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep};

use super::{ATTEMPT, Faulty, OPERATION, SILENCE, entry, within};
use crate::proxy::Fault;
use crate::support;

#[tokio::test]
async fn while_the_service_is_away_everything_is_unavailable_and_soon_after_healthy() {
    let t = Faulty::new().await;
    let c = &t.collection;
    let revision = t
        .store
        .put(c, "k", entry(1), PutMode::Create)
        .await
        .unwrap();
    for _ in 0..5 {
        t.proxy.down().await;
        let create = t.store.put(c, "new", entry(1), PutMode::Create);
        let update = t
            .store
            .put(c, "k", entry(2), PutMode::Update(revision.clone()));
        let overwrite = t.store.put(c, "k", entry(2), PutMode::Overwrite);
        for error in [
            // A read first: a write may still go out on a connection that has just ended.
            within(OPERATION, t.store.get(c, "k")).await.unwrap_err(),
            within(OPERATION, create).await.unwrap_err(),
            within(OPERATION, update).await.unwrap_err(),
            within(OPERATION, overwrite).await.unwrap_err(),
            within(OPERATION, t.store.take(c, "k")).await.unwrap_err(),
            within(OPERATION, t.store.get_many(c, &["k"]))
                .await
                .unwrap_err(),
            within(OPERATION, t.store.delete_many(c, &["k"]))
                .await
                .unwrap_err(),
            within(OPERATION, t.store.clear(c)).await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        }
        t.proxy.up().await;
        let returned = Instant::now();
        while t.store.get(c, "k").await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
        let healthy = returned.elapsed();
        let ordinary = Instant::now();
        t.direct.get(c, "k").await.unwrap();
        assert!(healthy < Duration::from_secs(1) + ordinary.elapsed());
    }
    let read = t.direct.get(c, "k").await.unwrap().unwrap();
    assert_eq!(read.revision, Some(revision));
}

#[tokio::test]
async fn a_store_that_is_made_while_the_service_is_away_works_once_it_is_back() {
    let t = Faulty::unopened(|builder| builder).await;
    t.proxy.down().await;
    let error = within(OPERATION, t.store.get(&t.collection, "k"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let put = t.store.put(&t.collection, "k", entry(1), PutMode::Create);
    let error = within(OPERATION, put).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    t.proxy.up().await;
    assert_eq!(t.store.get(&t.collection, "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_read_that_is_never_answered_is_a_timeout_in_time() {
    let t = Faulty::hasty().await;
    t.proxy.spoil("GetItem", usize::MAX, Fault::Silence);
    t.proxy.spoil("BatchGetItem", usize::MAX, Fault::Silence);
    for error in [
        within(SILENCE, t.store.get(&t.collection, "k"))
            .await
            .unwrap_err(),
        within(SILENCE, t.store.get_many(&t.collection, &["k"]))
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, Error::Timeout { after } if after <= ATTEMPT),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_read_whose_answer_is_cut_is_read_again() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    t.store
        .put(c, "k", entry(7), PutMode::Create)
        .await
        .unwrap();
    for fault in [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::CutWithin,
        Fault::RefuseAfter(500, "InternalServerError"),
        Fault::RefuseAfter(503, "ServiceUnavailable"),
        Fault::Replace(r#""Item""#, r#""Item"#),
    ] {
        t.proxy.spoil("GetItem", 2, fault.clone());
        let read = t.store.get(c, "k").await.unwrap().unwrap();
        assert_eq!(read.value, entry(7).value);
        t.proxy.spoil("GetItem", 3, fault.clone());
        let error = t.store.get(c, "k").await.unwrap_err();
        assert!(
            matches!(error, Error::Unavailable { .. }),
            "{fault:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_table_that_is_still_being_made_is_unavailable_in_time_and_then_used() {
    let t = Faulty::unopened(|builder| builder).await;
    let creating = Fault::Replace(r#""TableStatus":"ACTIVE""#, r#""TableStatus":"CREATING""#);
    t.proxy.spoil("DescribeTable", usize::MAX, creating);
    let put = t.store.put(&t.collection, "k", entry(1), PutMode::Create);
    for error in [
        within(OPERATION, put).await.unwrap_err(),
        within(OPERATION, t.store.get(&t.collection, "k"))
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    assert_eq!(t.proxy.arrived("GetItem") + t.proxy.arrived("PutItem"), 0);
    t.proxy.heal();
    assert_eq!(t.store.get(&t.collection, "k").await.unwrap(), None);
}

#[tokio::test]
async fn credentials_that_the_service_refuses_are_an_error_with_its_code_at_once() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    for code in ["UnrecognizedClientException", "AccessDeniedException"] {
        for operation in ["GetItem", "PutItem", "DeleteItem"] {
            t.proxy.spoil(operation, 1, Fault::Refuse(400, code));
        }
        let put = t.store.put(c, "k", entry(1), PutMode::Create);
        for error in [
            t.store.get(c, "k").await.unwrap_err(),
            put.await.unwrap_err(),
            t.store.take(c, "k").await.unwrap_err(),
        ] {
            assert!(matches!(error, Error::Backend { .. }), "{error:?}");
            assert!(!error.is_retryable());
            let reported: &AwsError = error.driver_error().unwrap();
            assert_eq!(reported.code(), Some(code));
        }
    }
}

#[tokio::test]
async fn missing_credentials_and_a_missing_region_are_errors_that_say_so() {
    let config = || SdkConfig::builder().behavior_version(BehaviorVersion::latest());
    let without_credentials = config().region(Region::new("eu-central-1"));
    let without_region = config().credentials_provider(support::credentials());
    for (config, what) in [
        (without_credentials.build(), "no credentials are set"),
        (without_region.build(), "no region is set"),
    ] {
        let store = DynamoDbStore::builder("table").sdk_config(&config);
        let error = store.build().unwrap().take("c", "k").await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        let reported: &AwsError = error.driver_error().unwrap();
        assert_eq!(reported.message(), what);
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_found_are_an_error_and_nothing_is_sent() {
    #[derive(Debug)]
    struct Nowhere;

    impl ProvideCredentials for Nowhere {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let nothing = CredentialsError::not_loaded("there are none");
            future::ProvideCredentials::ready(Err(nothing))
        }
    }

    let t = Faulty::unopened(|builder| {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(Nowhere));
        let builder = builder.sdk_config(&config.build()).region("eu-central-1");
        builder.create_table(false)
    })
    .await;
    let error = t.store.take("c", "k").await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert_eq!(t.proxy.arrived("DeleteItem"), 0);
}

#[tokio::test]
async fn credentials_that_never_come_are_unavailable_in_time_and_nothing_is_sent() {
    #[derive(Debug)]
    struct Never;

    impl ProvideCredentials for Never {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(std::future::pending())
        }
    }

    let t = Faulty::unopened(|builder| {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(Never));
        let builder = builder.sdk_config(&config.build()).region("eu-central-1");
        let builder = builder.attempt_timeout(ATTEMPT).operation_timeout(SILENCE);
        builder.create_table(false)
    })
    .await;
    let c = &t.collection;
    let create = t.store.put(c, "k", entry(1), PutMode::Create);
    for error in [
        within(SILENCE, create).await.unwrap_err(),
        within(SILENCE, t.store.take(c, "k")).await.unwrap_err(),
        within(SILENCE, t.store.get(c, "k")).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let reported: &AwsError = error.driver_error().unwrap();
        assert!(reported.message().contains("credentials"), "{error:?}");
    }
}

/// Slower than a request may be, as an instance's metadata service sometimes is.
#[tokio::test]
async fn credentials_that_come_late_have_the_time_of_the_operation() {
    #[derive(Debug)]
    struct Late;

    impl ProvideCredentials for Late {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                sleep(ATTEMPT * 2).await;
                let credentials = support::credentials();
                credentials.provide_credentials().await
            })
        }
    }

    let t = Faulty::unopened(|builder| {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(Late));
        let builder = builder.sdk_config(&config.build()).region("eu-central-1");
        let builder = builder
            .attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION);
        builder.create_table(false)
    })
    .await;
    assert_eq!(t.store.take(&t.collection, "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_signature_refused_for_a_wrong_clock_is_made_again_by_the_time_of_the_service() {
    let t = Faulty::patient().await;
    let c = &t.collection;
    let refused = Fault::Refuse(400, "InvalidSignatureException");
    t.proxy.spoil("PutItem", 1, refused.clone());
    let put = t.store.put(c, "k", entry(1), PutMode::Create).await;
    put.unwrap();
    t.proxy.spoil("GetItem", usize::MAX, refused);
    let error = t.store.get(c, "k").await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_is_never_made_leaves_nothing_open() {
    let listener = TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // The queue is full from here on, and what else wants to connect gets no answer.
    let _first = TcpStream::connect(address).await.unwrap();
    let store = support::builder_at(&format!("http://{address}"), "table")
        .create_table(false)
        .attempt_timeout(ATTEMPT)
        .operation_timeout(SILENCE)
        .build()
        .unwrap();
    let create = store.put("c", "k", entry(1), PutMode::Create);
    for error in [
        within(SILENCE, create).await.unwrap_err(),
        within(SILENCE, store.take("c", "k")).await.unwrap_err(),
        within(SILENCE, store.get("c", "k")).await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_table_whose_expiry_cannot_be_turned_on_is_used_all_the_same() {
    let t = Faulty::unopened(|builder| builder).await;
    let denied = Fault::Refuse(400, "AccessDeniedException");
    t.proxy.spoil("DescribeTimeToLive", usize::MAX, denied);
    assert_eq!(t.store.get(&t.collection, "k").await.unwrap(), None);
}
