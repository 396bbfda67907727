//! [`Proxy`]: a wire to a server, with faults.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What happens on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Closes the connection in place of passing on a request.
    CutRequest,
    /// Closes the connection in place of passing on a reply: it was carried out.
    DropReply,
    /// Closes the connection after a part of a reply.
    TruncateReply,
    /// Passes on nothing from the server any more, and says so to the client; requests go on.
    HalfClose,
    /// Passes on replies later.
    Delay(Duration),
    /// Passes on no replies.
    Swallow,
    /// Passes on no replies over this connection any more.
    Stall,
}

#[derive(Default)]
struct Faults {
    /// What happens from now on.
    steady: Option<Fault>,
    /// What happens next, after so many others.
    next: Option<(u32, Fault)>,
}

/// A wire to a server. Ends with the test's runtime.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Mutex<Faults>>,
    cut: Arc<Notify>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            faults: Arc::default(),
            cut: Arc::default(),
        };
        let (faults, cut) = (Arc::clone(&proxy.faults), Arc::clone(&proxy.cut));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (faults, cut) = (Arc::clone(&faults), Arc::clone(&cut));
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, server, faults) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Has `fault` happen from now on.
    pub(crate) fn always(&self, fault: impl Into<Option<Fault>>) {
        self.faults.lock().unwrap().steady = fault.into();
    }

    /// Has `fault` happen once, to the first that it may happen to.
    pub(crate) fn once(&self, fault: Fault) {
        self.once_after(0, fault);
    }

    /// Has `fault` happen once, after `others` that it might have happened to.
    pub(crate) fn once_after(&self, others: u32, fault: Fault) {
        self.faults.lock().unwrap().next = Some((others, fault));
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }
}

/// Returns the fault that happens to what is passed on now.
fn due(faults: &Mutex<Faults>, to_a_request: bool) -> Option<Fault> {
    let mut faults = faults.lock().unwrap();
    let concerns = |fault: &Fault| (*fault == Fault::CutRequest) == to_a_request;
    match faults.next {
        Some((0, fault)) if concerns(&fault) => {
            faults.next = None;
            Some(fault)
        }
        Some((others, fault)) if concerns(&fault) => {
            faults.next = Some((others - 1, fault));
            None
        }
        _ => faults.steady.filter(concerns),
    }
}

async fn pass(client: TcpStream, server: u16, faults: Arc<Mutex<Faults>>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass_requests(from_client, to_server, Arc::clone(&faults)) => {}
        () = pass_replies(from_server, to_client, faults) => {}
    }
}

async fn pass_requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    faults: Arc<Mutex<Faults>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        if due(&faults, true).is_some() || server.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn pass_replies(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    faults: Arc<Mutex<Faults>>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        let reply = &buffer[..length];
        match due(&faults, false) {
            None | Some(Fault::CutRequest) => {}
            Some(Fault::Delay(delay)) => sleep(delay).await,
            Some(Fault::Swallow) => continue,
            Some(Fault::Stall) => pending().await,
            Some(Fault::DropReply) => return,
            Some(Fault::TruncateReply) => {
                let _ = client.write_all(&reply[..length / 2]).await;
                return;
            }
            Some(Fault::HalfClose) => {
                let _ = client.shutdown().await;
                while let Ok(1..) = server.read(&mut buffer).await {}
                return;
            }
        }
        if client.write_all(reply).await.is_err() {
            return;
        }
    }
}
