//! How a server ends.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Server, Setup};

/// Waits for the server to end.
async fn ended(server: Server) {
    let serving = timeout(Duration::from_secs(30), server.serving);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_server_stops_at_once() {
    let server = Setup {
        grace: Duration::from_secs(20),
        ..Setup::default()
    };
    let server = server.start().await;
    let client = reqwest::Client::new();
    // Leaves a connection open for the next request.
    client
        .get(server.url("/health"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let url = server.url("/health");
    let begin = Instant::now();
    server.shutdown.requested().cancel();
    ended(server).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(client.get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn requests_under_way_are_finished() {
    let server = Setup::default().start().await;
    let id = server.open_session().await;
    let stateless = tokio::spawn(server.call("wait").send());
    let in_session = server.call_in(&id, "wait").send().await.unwrap();
    server.called(2).await;
    server.shutdown.requested().cancel();
    tokio::task::yield_now().await;
    server.handler.permits.add_permits(2);

    let answer = stateless.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("done"));
    assert!(in_session.text().await.unwrap().contains("done"));
    ended(server).await;
}

#[tokio::test]
async fn streams_without_an_end_do_not_delay_the_stop() {
    let setup = Setup {
        grace: Duration::from_secs(20),
        ..Setup::default()
    };
    let server = setup.start().await;
    let id = server.open_session().await;
    let stream = server.listen(&id).send().await.unwrap();
    let begin = Instant::now();
    server.shutdown.requested().cancel();
    stream.text().await.expect("the stream ends in order");
    ended(server).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_subscription_ends_in_order() {
    let setup = Setup {
        grace: Duration::from_secs(20),
        ..Setup::default()
    };
    let server = setup.start().await;
    let stream = server.subscribe().send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let begin = Instant::now();
    server.shutdown.requested().cancel();
    let events = stream.text().await.expect("the stream ends in order");
    assert!(events.contains("acknowledged"), "{events}");
    assert!(
        events.contains("\"id\":7"),
        "the request is answered: {events}"
    );
    ended(server).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn requests_are_cut_after_the_grace() {
    let setup = Setup {
        grace: Duration::from_millis(50),
        ..Setup::default()
    };
    let server = setup.start().await;
    let call = tokio::spawn(server.call("wait").send());
    server.called(1).await;
    server.shutdown.requested().cancel();
    let finished = server.shutdown.finished().clone();
    ended(server).await;
    assert!(finished.is_cancelled());
    let answer = call.await.unwrap();
    assert!(answer.is_err() || answer.unwrap().status() != 200);
}
