//! The least that a durable write can cost: an append-only file, synced once for all writes that
//! wait. It can only be read from start to end, so nothing but a floor.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

/// A log with group commit.
#[derive(Clone)]
pub(crate) struct Log(mpsc::Sender<Append>);

struct Append {
    record: Bytes,
    synced: oneshot::Sender<()>,
}

impl Log {
    pub(crate) fn create(path: &Path) -> Self {
        let mut file = File::create(path).expect("a new file");
        let (sender, appends) = mpsc::channel::<Append>();
        thread::spawn(move || {
            let mut records = Vec::new();
            while let Ok(first) = appends.recv() {
                let group: Vec<_> = std::iter::once(first).chain(appends.try_iter()).collect();
                records.clear();
                for append in &group {
                    records.extend_from_slice(&append.record);
                }
                file.write_all(&records).expect("room");
                file.sync_data().expect("a working disk");
                for append in group {
                    // A caller that has gone needs no answer.
                    let _ = append.synced.send(());
                }
            }
        });
        Self(sender)
    }

    pub(crate) async fn append(self, record: Bytes) {
        let (synced, answer) = oneshot::channel();
        let append = Append { record, synced };
        self.0.send(append).expect("the writer runs");
        answer.await.expect("the writer answers");
    }
}
