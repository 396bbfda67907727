//! Streams of a session that a client comes back to, before their answer.

use futures_util::StreamExt as _;

use super::{Server, Setup};

/// Begins a call of `wait` in a session, and loses the connection after the first event, whose id is
/// returned.
async fn broken_call(server: &Server, session: &str) -> String {
    let call = server.call_in(session, "wait").send().await.unwrap();
    let mut pieces = call.bytes_stream();
    let mut text = String::new();
    while !text.contains("\n\n") {
        let piece = pieces.next().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let id = text.lines().find_map(|line| line.strip_prefix("id: "));
    id.unwrap().to_owned()
}

#[tokio::test]
async fn a_call_whose_connection_has_broken_is_answered_on_the_stream_that_resumes_it() {
    let server = Setup::default().start().await;
    let session = server.open_session().await;
    let event = broken_call(&server, &session).await;
    server.called(1).await;

    let resumed = server.listen(&session).header("last-event-id", event);
    let resumed = resumed.send().await.unwrap();
    assert_eq!(resumed.status(), 200);
    server.handler.permits.add_permits(1);
    let text = resumed.text().await.unwrap();
    assert!(text.contains("done"), "{text}");
    assert_eq!(server.calls(), 1);
}
