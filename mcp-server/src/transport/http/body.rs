//! What a message to the MCP path must pass before rmcp reads it, and how long any body may take.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::json;
use super::reply::{INVALID_REQUEST, PARSE_ERROR, rpc_error, try_later};
use crate::BoxError;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Bodies that are being read, of all connections together: 64 MiB.
const MAX_BUFFERED_BYTES: usize = 64 << 20;

/// A body was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("the body took longer than {} s", BODY_TIMEOUT.as_secs())]
struct Late;

/// Fails the reading of a body that is not complete 60 seconds from now.
pub(super) fn timed(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let mut deadline = Box::pin(sleep(BODY_TIMEOUT));
    let mut pieces = body.into_data_stream();
    Body::from_stream(poll_fn(move |context| {
        match pieces.poll_next_unpin(context) {
            Poll::Ready(piece) => Poll::Ready(piece.map(|piece| piece.map_err(BoxError::from))),
            Poll::Pending => deadline
                .as_mut()
                .poll(context)
                .map(|()| Some(Err(BoxError::from(Late)))),
        }
    }))
}

/// How much of the bodies of messages is read.
#[derive(Clone, Debug)]
pub(super) struct BodyLimits {
    /// Of one body, in bytes.
    max: usize,
    /// A permit for each byte that may still be buffered.
    room: Arc<Semaphore>,
}

impl BodyLimits {
    /// Lets bodies of up to `max` bytes be read; the room for all is at least that of one.
    pub(super) fn new(max: usize) -> Self {
        let room = MAX_BUFFERED_BYTES.max(max).min(Semaphore::MAX_PERMITS);
        Self {
            max,
            room: Arc::new(Semaphore::new(room)),
        }
    }
}

/// Reads the body of a POST and hands on the same bytes if they are a message.
pub(super) async fn check_message<N>(
    limits: &BodyLimits,
    request: Request,
    next: impl FnOnce(Request<Message>) -> N,
) -> Response
where
    N: Future<Output = Response>,
{
    if request.method() != Method::POST {
        return next(request.map(|_| Message::default())).await;
    }
    // A page of another site can send text/plain and forms without a preflight.
    if !is_plain_json(request.headers()) {
        return rpc_error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            INVALID_REQUEST,
            "Content-Type must be application/json, without a Content-Encoding",
        );
    }
    let (parts, body) = request.into_parts();
    let (bytes, room) = match read(body, limits).await {
        Ok(read) => read,
        Err(response) => return response,
    };
    if let Err(refusal) = json::check(&bytes) {
        return rpc_error(StatusCode::BAD_REQUEST, refusal.code, &refusal.message);
    }
    let message = Message {
        bytes: Full::new(bytes),
        _room: room,
    };
    let response = next(Request::from_parts(parts, message)).await;
    // rmcp's answer to JSON that it cannot read; the media type was checked above.
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return rpc_error(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST,
            "the body is no MCP message",
        );
    }
    response
}

/// The bytes of a message, or none.
#[derive(Default)]
pub(super) struct Message {
    bytes: Full<Bytes>,
    /// Is free again when rmcp has parsed the bytes and drops the body.
    _room: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.bytes).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.size_hint()
    }
}

fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = media_type.as_bytes().split(|b| *b == b';').next();
    essence.is_some_and(|e| e.trim_ascii().eq_ignore_ascii_case(b"application/json"))
        && !headers.contains_key(CONTENT_ENCODING)
}

async fn read(
    body: Body,
    limits: &BodyLimits,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Response> {
    let collected = timeout(BODY_TIMEOUT, collect(body, limits)).await;
    let (status, code, message) = match collected.unwrap_or(Err(Unread::Late)) {
        Ok(read) => return Ok(read),
        Err(Unread::TooLarge) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            INVALID_REQUEST,
            format!("the body is larger than {} bytes", limits.max),
        ),
        Err(Unread::NoRoom) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let message = "too many messages are being received";
            return Err(try_later(rpc_error(status, INVALID_REQUEST, message)));
        }
        Err(Unread::Broken) => (
            StatusCode::BAD_REQUEST,
            PARSE_ERROR,
            "the body ends early".to_owned(),
        ),
        Err(Unread::Late) => (
            StatusCode::REQUEST_TIMEOUT,
            INVALID_REQUEST,
            Late.to_string(),
        ),
    };
    Err(rpc_error(status, code, &message))
}

/// Why a body was not read to its end.
enum Unread {
    Late,
    TooLarge,
    NoRoom,
    Broken,
}

/// Reads a body, taking room for each piece as it comes: a length that is only announced takes
/// none.
async fn collect(
    mut body: Body,
    limits: &BodyLimits,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Unread> {
    if body.size_hint().lower() > limits.max as u64 {
        return Err(Unread::TooLarge);
    }
    let mut bytes = Vec::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread::Broken)?;
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        if piece.len() > limits.max - bytes.len() {
            return Err(Unread::TooLarge);
        }
        let size = u32::try_from(piece.len()).map_err(|_| Unread::TooLarge)?;
        let more = Arc::clone(&limits.room).try_acquire_many_owned(size);
        let more = more.map_err(|_| Unread::NoRoom)?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes.into(), room))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::{Body, Bytes};
    use futures_util::{FutureExt as _, StreamExt as _, stream};

    use super::{BodyLimits, MAX_BUFFERED_BYTES, Unread, collect};

    const MIB: usize = 1 << 20;

    /// A body that comes in pieces of 1 MiB, and then waits for ever.
    fn unfinished(pieces: usize) -> Body {
        let pieces =
            stream::iter(0..pieces).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b'x'; MIB])));
        Body::from_stream(pieces.chain(stream::pending()))
    }

    #[tokio::test]
    async fn bodies_of_64_mib_in_all_are_buffered_at_once() {
        let limits = BodyLimits::new(4 * MIB);
        let mut unread: Vec<_> = (0..16)
            .map(|_| Box::pin(collect(unfinished(4), &limits)))
            .collect();
        for body in &mut unread {
            assert!(body.as_mut().now_or_never().is_none());
        }
        let refused = collect(Body::from("x"), &limits).await;
        assert!(matches!(refused, Err(Unread::NoRoom)));

        unread.pop();
        let (bytes, room) = collect(Body::from(vec![b'x'; 4 * MIB]), &limits)
            .await
            .ok()
            .unwrap();
        assert_eq!(bytes.len(), 4 * MIB);
        assert!(collect(Body::from("x"), &limits).await.is_err());
        drop((unread, room));
        assert_eq!(limits.room.available_permits(), MAX_BUFFERED_BYTES);
    }

    #[tokio::test]
    async fn one_body_may_be_as_large_as_its_limit_allows() {
        let limits = BodyLimits::new(65 * MIB);
        let read = collect(Body::from(vec![b'x'; 65 * MIB]), &limits).await;
        assert!(read.is_ok());
    }
}
