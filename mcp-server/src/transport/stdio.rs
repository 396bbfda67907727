//! Standard input and output as a transport.
//!
//! ```text
//! stdin - a thread: lines, checked - rmcp - lines - stdout
//!                       refusals ------------------'
//! ```

use std::io::{self, BufRead};
use std::{iter, thread};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use rmcp::service::{ServerInitializeError, serve_server_with_ct};
use serde_json::json;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::sync::CancellationToken;

use crate::server::Adapter;
use crate::transport::http::json;
use crate::{BoxError, Error, Result};

/// How many lines of input, or refusals of one, wait before the client is held up.
const QUEUE: usize = 16;

/// The longest line of input, in bytes: what rmcp takes.
const MAX_LINE_BYTES: usize = 16 << 20;

/// How many bytes of output wait before the server is held up.
const OUTPUT_BYTES: usize = 64 << 10;

/// The JSON-RPC code of a message that is none.
const INVALID_REQUEST: i32 = -32600;

/// Serves one client over standard input and output, until its input ends, or until `stopping`.
///
/// Both end the same way: nothing more is read, and calls in flight have 5 seconds to answer, unless
/// `now` cuts them short.
pub(crate) async fn serve(
    adapter: Adapter,
    stopping: CancellationToken,
    now: CancellationToken,
) -> Result<()> {
    let (refusals, refused) = mpsc::channel(QUEUE);
    let (output, written) = tokio::io::duplex(OUTPUT_BYTES);
    let printing = tokio::spawn(print(written, refused, tokio::io::stdout()));
    let served = run(adapter, input(stopping, refusals), output, now.clone()).await;
    // The last answers, unless the client does not read them.
    tokio::select! {
        _ = printing => {}
        () = now.cancelled() => {}
    }
    served
}

async fn run(
    adapter: Adapter,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: DuplexStream,
    now: CancellationToken,
) -> Result<()> {
    match serve_server_with_ct(adapter, (input, output), now).await {
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

/// Returns the messages of standard input, until `stopping`. What is no message is answered
/// through `refusals`.
///
/// Input is read on a thread of its own. tokio's `stdin` would keep the runtime from ending while
/// a read is pending, so that a server told to stop would wait for its client to write.
fn input(
    stopping: CancellationToken,
    refusals: mpsc::Sender<String>,
) -> impl AsyncRead + Send + Unpin + 'static {
    let (lines, input) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
    thread::spawn(move || {
        for line in messages(io::stdin().lock()) {
            let taken = match line {
                Ok(Ok(line)) => lines.blocking_send(Ok(line.into())).is_ok(),
                Ok(Err(refusal)) => refusals.blocking_send(refusal).is_ok(),
                Err(error) => {
                    let _ = lines.blocking_send(Err(error));
                    false
                }
            };
            if !taken {
                return;
            }
        }
    });
    let input = stream::unfold(input, |mut input| async move {
        Some((input.recv().await?, input))
    });
    let input = input.take_until(stopping.cancelled_owned());
    StreamReader::new(Box::pin(input))
}

/// Reads lines: those that are JSON-RPC messages as they are, others as the answer to them.
fn messages(
    mut input: impl BufRead,
) -> impl Iterator<Item = io::Result<std::result::Result<Vec<u8>, String>>> {
    iter::from_fn(move || {
        loop {
            let (line, whole) = match next_line(&mut input) {
                Ok(Some(line)) => line,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            if !whole {
                let message = format!("the line is longer than {MAX_LINE_BYTES} bytes");
                return Some(Ok(Err(refusal(INVALID_REQUEST, &message))));
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            return Some(Ok(match json::check(&line) {
                Ok(()) => Ok(line),
                Err(found) => Err(refusal(found.code, &found.message)),
            }));
        }
    })
}

/// Reads a line with its end, and tells whether it is whole: of a longer one than
/// [`MAX_LINE_BYTES`] the rest is skipped. Returns `None` at the end of the input.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, bool)>> {
    let mut line = Vec::new();
    let mut whole = true;
    loop {
        let chunk = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() {
            return Ok((!line.is_empty()).then_some((line, whole)));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(chunk.len(), |end| end + 1);
        if whole && line.len() + length <= MAX_LINE_BYTES {
            line.extend_from_slice(&chunk[..length]);
        } else {
            whole = false;
        }
        input.consume(length);
        if end.is_some() {
            return Ok(Some((line, whole)));
        }
    }
}

fn refusal(code: i32, message: &str) -> String {
    json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": message } })
        .to_string()
}

/// Prints whole lines: rmcp's, and the refusals between them. Ends with rmcp's output.
async fn print(
    output: DuplexStream,
    mut refusals: mpsc::Receiver<String>,
    mut stdout: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        tokio::select! {
            // Cancel safe: what has been read of a line stays in `line`.
            read = lines.read_until(b'\n', &mut line) => {
                if read? == 0 {
                    // The refusals of lines before the last answer.
                    while let Ok(refusal) = refusals.try_recv() {
                        stdout.write_all(format!("{refusal}\n").as_bytes()).await?;
                    }
                    return stdout.flush().await;
                }
                stdout.write_all(&line).await?;
                line.clear();
            }
            Some(refusal) = refusals.recv() => {
                stdout.write_all(format!("{refusal}\n").as_bytes()).await?;
            }
        }
        stdout.flush().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Vec<std::result::Result<String, String>> {
        messages(input)
            .map(|line| line.unwrap().map(|line| String::from_utf8(line).unwrap()))
            .collect()
    }

    #[test]
    fn messages_pass_as_they_are_and_empty_lines_are_skipped() {
        let ping = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}";
        let lines = read(format!("\n{ping}\r\n \n{ping}").as_bytes());
        assert_eq!(lines, [Ok(format!("{ping}\r\n")), Ok(ping.to_owned())]);
    }

    #[test]
    fn a_line_that_is_no_json_is_answered_with_a_parse_error() {
        let lines = read(b"hello\n\xff\n");
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert!(line.unwrap_err().contains("-32700"));
        }
    }

    #[test]
    fn a_line_that_is_no_message_is_answered_as_an_invalid_request() {
        let lines = read(b"[]\n{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}\n");
        for line in lines {
            assert!(line.unwrap_err().contains("-32600"));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_answered_and_the_next_one_is_read() {
        let mut input = vec![b'x'; MAX_LINE_BYTES + 1];
        input.extend_from_slice(b"\n{\"jsonrpc\":\"2.0\",\"method\":\"x\"}\n");
        let lines = read(&input);
        assert!(lines[0].as_ref().unwrap_err().contains("longer"));
        assert!(lines[1].is_ok());
    }

    #[tokio::test]
    async fn no_refusal_is_lost_at_the_end_of_the_output() {
        let (output, written) = tokio::io::duplex(OUTPUT_BYTES);
        let (refusals, refused) = mpsc::channel(QUEUE);
        for _ in 0..QUEUE {
            refusals.send("{}".to_owned()).await.unwrap();
        }
        drop(output);
        let mut stdout = Vec::new();
        print(written, refused, &mut stdout).await.unwrap();
        assert_eq!(stdout, "{}\n".repeat(QUEUE).as_bytes());
    }

    #[tokio::test]
    async fn refusals_stand_between_whole_lines() {
        let (mut output, written) = tokio::io::duplex(OUTPUT_BYTES);
        let (refusals, refused) = mpsc::channel(QUEUE);
        let printing = tokio::spawn(async move {
            let mut stdout = Vec::new();
            print(written, refused, &mut stdout).await.map(|()| stdout)
        });
        output.write_all(b"{\"half\":").await.unwrap();
        refusals.send("{\"refusal\":1}".to_owned()).await.unwrap();
        tokio::task::yield_now().await;
        output.write_all(b"1}\n").await.unwrap();
        drop(output);
        let printed = String::from_utf8(printing.await.unwrap().unwrap()).unwrap();
        let mut lines: Vec<_> = printed.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["{\"half\":1}", "{\"refusal\":1}"]);
    }
}
