//! Standard input and output as a transport.

use std::io::{self, BufRead as _};
use std::thread;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use rmcp::service::{ServerInitializeError, serve_server_with_ct};
use tokio::io::{AsyncRead, Stdout};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use crate::server::Adapter;
use crate::{BoxError, Error, Result};

/// How many chunks of input wait for the server before the client is held up.
const QUEUE: usize = 16;

/// Serves one client over standard input and output, until its input ends, or until `stopping`.
///
/// Both end the same way: nothing more is read, and calls in flight have 5 seconds to answer, unless
/// `now` cuts them short.
pub(crate) async fn serve(
    adapter: Adapter,
    stopping: CancellationToken,
    now: CancellationToken,
) -> Result<()> {
    match serve_server_with_ct(adapter, stdio(stopping), now).await {
        Ok(service) => {
            service
                .waiting()
                .await
                .map_err(|error| failed(error.into()))?;
            Ok(())
        }
        // A client that leaves, or a server that is stopped, before anything was said.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => {
            Ok(())
        }
        // The error itself repeats what the client sent, which may be a secret.
        Err(ServerInitializeError::ExpectedInitializeRequest(_)) => Err(failed(
            "the client began with neither initialize nor server/discover".into(),
        )),
        Err(_) => Err(failed("the handshake with the client failed".into())),
    }
}

fn failed(source: BoxError) -> Error {
    Error::Transport {
        transport: "stdio",
        source,
    }
}

/// Returns standard input, until `stopping`, and standard output.
///
/// Input is read on a thread of its own. tokio's `stdin` would keep the runtime from ending while
/// a read is pending, so that a server told to stop would wait for its client to write.
fn stdio(stopping: CancellationToken) -> (impl AsyncRead + Send + Unpin + 'static, Stdout) {
    let (chunks, input) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let chunk = match stdin.fill_buf() {
                Ok([]) => return,
                Ok(buffer) => Ok(Bytes::copy_from_slice(buffer)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            stdin.consume(chunk.as_ref().map_or(0, Bytes::len));
            let failed = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    let input = stream::unfold(input, |mut input| async move {
        Some((input.recv().await?, input))
    });
    let input = input.take_until(stopping.cancelled_owned());
    (StreamReader::new(Box::pin(input)), tokio::io::stdout())
}
