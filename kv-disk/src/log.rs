//! [`Log`]: the write-ahead log, which makes a write durable before the database is.
//!
//! A commit of redb writes pages all over the file. The log takes only the rows that change, one
//! behind the other, so that a write is durable after one short sync; redb then holds it in memory
//! and brings it to its file with the next durable commit. After a crash the records behind that
//! commit are applied again.
//!
//! The file is made of blocks of 4 KiB. The first one holds the header, and each record begins with
//! a block. Numbers of writes tie it to the database: a record tells after which write it was made
//! and with which it ends, so records that the database already holds are passed over. That is why
//! a log that is no longer needed is not erased but written over from its start.

use std::io;

use kv_core::{Error, Result};
use redb::StorageBackend;
use twox_hash::XxHash3_64;

use crate::builder::Config;
use crate::error::Fault;
use crate::file;

/// The most bytes in the file. What does not fit makes the next commit a durable one of redb.
pub(crate) const LOG_BYTES: u64 = 32 << 20;

const BLOCK: usize = 4096;

/// The first bytes of the file, and the format of all that follows.
const MAGIC: [u8; 8] = *b"kvlog\0\0\x01";

/// Marks the start of a record.
const RECORD_MAGIC: u32 = 0x6c76_6b77;

/// [`MAGIC`], the id of the database, and a hash of both.
const HEADER_BYTES: usize = 32;

/// What stands at the start of a record, all little-endian: its hash, [`RECORD_MAGIC`], the number
/// of the write before it, the number of its own last write, and the length of the rows that
/// follow.
const RECORD_HEADER_BYTES: usize = 36;
const HASH_BYTES: usize = 8;

#[cfg(not(test))]
type Backend = redb::backends::FileBackend;
#[cfg(test)]
type Backend = crate::faults::FaultyFile;

/// The log of an open database. It has no file before the first record.
#[derive(Debug)]
pub(crate) struct Log {
    id: [u8; 16],
    file: Option<Backend>,
    /// Where the next record goes.
    end: u64,
    buffer: Vec<u8>,
}

/// Rows that one commit changed, in the form that [`redo`](crate::redo) gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRecord<'a> {
    /// The number of the write before these.
    pub(crate) previous: u64,
    /// The number of the last of these.
    pub(crate) count: u64,
    pub(crate) rows: &'a [u8],
}

impl Log {
    /// A log for the database `id` that begins anew: what its file holds is not needed.
    pub(crate) fn new(id: [u8; 16]) -> Self {
        Self {
            id,
            file: None,
            end: BLOCK as u64,
            buffer: Vec::new(),
        }
    }

    /// Tells whether a record with `rows` fits into what is left of the file.
    pub(crate) fn has_room(&self, rows: &[u8]) -> bool {
        self.end + padded(RECORD_HEADER_BYTES + rows.len()) as u64 <= LOG_BYTES
    }

    /// Writes `record` behind the others and waits until it is on the medium.
    pub(crate) fn append(&mut self, config: &Config, record: LogRecord<'_>) -> Result<(), Fault> {
        record.encode(self.id, &mut self.buffer);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(open(config, self.id)?),
        };
        file.write(self.end, &self.buffer).map_err(io_fault)?;
        file.sync_data().map_err(io_fault)?;
        self.end += self.buffer.len() as u64;
        Ok(())
    }

    /// Lets the next record go to the start of the file: the database holds everything durably.
    pub(crate) fn restart(&mut self) {
        self.end = BLOCK as u64;
    }
}

/// Opens the file, and makes it with its header if it is not there or of another database.
fn open(config: &Config, id: [u8; 16]) -> Result<Backend, Fault> {
    let file = crate::open::backend(config, file::open_log(&config.path)?)?;
    let header = header(id);
    let mut found = [0; HEADER_BYTES];
    if file.len().map_err(io_fault)? >= BLOCK as u64 {
        file.read(0, &mut found).map_err(io_fault)?;
    }
    if found != header {
        let mut block = [0; BLOCK];
        block[..HEADER_BYTES].copy_from_slice(&header);
        // Nothing of another database may follow the header.
        file.set_len(0).map_err(io_fault)?;
        file.write(0, &block).map_err(io_fault)?;
        file.sync_data().map_err(io_fault)?;
    }
    // Whoever made the file may have been killed before its name was on the medium.
    file::sync_folder(&config.path)?;
    Ok(file)
}

impl LogRecord<'_> {
    fn encode(&self, id: [u8; 16], out: &mut Vec<u8>) {
        out.clear();
        out.resize(HASH_BYTES, 0);
        out.extend_from_slice(&RECORD_MAGIC.to_le_bytes());
        out.extend_from_slice(&self.previous.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        out.extend_from_slice(self.rows);
        let hash = XxHash3_64::oneshot_with_seed(seed(id), &out[HASH_BYTES..]);
        out[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        out.resize(padded(out.len()), 0);
    }
}

/// Returns the records of the log in `bytes` that come after write number `after`, in their order.
///
/// A last record that is not whole was never acknowledged, and ends the log. One that is not whole
/// and has others behind it was damaged later.
pub(crate) fn records_after(bytes: &[u8], id: [u8; 16], after: u64) -> Result<Vec<LogRecord<'_>>> {
    // Without a record the file was made and never used.
    let Some(found) = bytes.get(..HEADER_BYTES).filter(|_| bytes.len() > BLOCK) else {
        return Ok(Vec::new());
    };
    if found != header(id) {
        let mut other = [0; 16];
        other.copy_from_slice(&found[8..24]);
        return if found == header(other) {
            // It was left behind by a database that stood here before.
            Ok(Vec::new())
        } else {
            Err(damaged("its header does not match"))
        };
    }
    let mut records: Vec<LogRecord<'_>> = Vec::new();
    let mut last = after;
    let mut position = BLOCK;
    while let Some((record, length)) = record_at(bytes, position, id) {
        position += length;
        if record.count <= after {
            continue;
        }
        if record.previous != last {
            return Err(damaged("writes are missing in it"));
        }
        last = record.count;
        records.push(record);
    }
    let newer =
        |position| record_at(bytes, position, id).is_some_and(|(record, _)| record.count > last);
    if (position..bytes.len()).step_by(BLOCK).any(newer) {
        return Err(damaged("a record in it is damaged"));
    }
    Ok(records)
}

/// Returns the record that begins at `position`, and how many bytes it takes with its padding.
fn record_at(bytes: &[u8], position: usize, id: [u8; 16]) -> Option<(LogRecord<'_>, usize)> {
    let bytes = bytes.get(position..)?;
    let (hash, header) = bytes.split_first_chunk()?;
    let (magic, header) = header.split_first_chunk()?;
    let (previous, header) = header.split_first_chunk()?;
    let (count, header) = header.split_first_chunk()?;
    let (length, _) = header.split_first_chunk()?;
    let hash = u64::from_le_bytes(*hash);
    let (previous, count) = (u64::from_le_bytes(*previous), u64::from_le_bytes(*count));
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let end = RECORD_HEADER_BYTES.checked_add(length)?;
    let hashed = bytes.get(HASH_BYTES..end)?;
    if u32::from_le_bytes(*magic) != RECORD_MAGIC
        || hash != XxHash3_64::oneshot_with_seed(seed(id), hashed)
    {
        return None;
    }
    let record = LogRecord {
        previous,
        count,
        rows: &bytes[RECORD_HEADER_BYTES..end],
    };
    Some((record, padded(end)))
}

fn header(id: [u8; 16]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..24].copy_from_slice(&id);
    let hash = XxHash3_64::oneshot_with_seed(0, &header[..24]);
    header[24..].copy_from_slice(&hash.to_le_bytes());
    header
}

/// The seed of the hashes, so that no stored value looks like a record.
fn seed(id: [u8; 16]) -> u64 {
    XxHash3_64::oneshot_with_seed(u64::from(RECORD_MAGIC), &id)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(BLOCK)
}

fn io_fault(error: io::Error) -> Fault {
    Fault::from(redb::Error::Io(error))
}

fn damaged(reason: &'static str) -> Error {
    Error::Corrupted {
        reason,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: [u8; 16] = [7; 16];

    fn record(previous: u64, count: u64, rows: &[u8]) -> LogRecord<'_> {
        LogRecord {
            previous,
            count,
            rows,
        }
    }

    /// A log file with `records`.
    fn file(records: &[LogRecord<'_>]) -> Vec<u8> {
        let mut file = header(ID).to_vec();
        file.resize(BLOCK, 0);
        let mut encoded = Vec::new();
        for record in records {
            record.encode(ID, &mut encoded);
            file.extend_from_slice(&encoded);
        }
        file
    }

    const LONG: [u8; 5000] = [9; 5000];

    fn three() -> [LogRecord<'static>; 3] {
        [
            record(10, 11, b"first"),
            record(11, 15, &LONG),
            record(15, 16, b"third"),
        ]
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_stored_bytes_never_change() {
        let file = file(&[record(1, 2, b"rows")]);
        assert_eq!(file.len(), 2 * BLOCK);
        assert_eq!(
            hex(&file[..HEADER_BYTES]),
            "6b766c6f670000010707070707070707070707070707070714d07364e70f8aa9"
        );
        let end = BLOCK + RECORD_HEADER_BYTES + 4;
        assert_eq!(
            hex(&file[BLOCK..end]),
            "9ae3f03d314cfa13776b766c010000000000000002000000000000000400000000000000726f7773"
        );
        assert!(file[HEADER_BYTES..BLOCK].iter().all(|&byte| byte == 0));
        assert!(file[end..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn records_read_back_as_written() {
        let file = file(&three());
        assert_eq!(records_after(&file, ID, 10).unwrap(), three());
    }

    #[test]
    fn what_the_database_holds_is_passed_over() {
        let file = file(&three());
        assert_eq!(records_after(&file, ID, 11).unwrap(), three()[1..]);
        assert_eq!(records_after(&file, ID, 16).unwrap(), []);
        assert_eq!(records_after(&file, ID, 1 << 40).unwrap(), []);
    }

    #[test]
    fn a_log_written_over_from_its_start_ends_before_the_old_records() {
        let mut file = file(&three());
        let mut newer = Vec::new();
        record(16, 17, b"newer").encode(ID, &mut newer);
        file[BLOCK..2 * BLOCK].copy_from_slice(&newer);
        assert_eq!(
            records_after(&file, ID, 16).unwrap(),
            [record(16, 17, b"newer")]
        );
    }

    #[test]
    fn a_last_record_that_is_not_whole_is_as_if_never_written() {
        let whole = file(&three());
        for length in 0..whole.len() {
            let mut torn = whole.clone();
            torn[length..].fill(0);
            let found = records_after(&torn, ID, 10);
            let short = records_after(&whole[..length], ID, 10);
            if length > BLOCK {
                let found = found.unwrap();
                assert!(three().starts_with(&found), "{length}");
                assert_eq!(found, short.unwrap(), "{length}");
            } else {
                assert_eq!(short.unwrap(), []);
            }
        }
    }

    #[test]
    fn a_flipped_bit_loses_the_last_record_or_is_found() {
        let good = file(&three());
        let third = good.len() - BLOCK;
        for byte in (0..HEADER_BYTES).chain(BLOCK..good.len()) {
            let mut bad = good.clone();
            bad[byte] ^= 1 << (byte % 8);
            match records_after(&bad, ID, 10) {
                Ok(records) if records == three() => {}
                Ok(records) => assert!(byte >= third && records == three()[..2], "{byte}"),
                Err(error) => assert!(matches!(error, Error::Corrupted { .. }) && byte < third),
            }
        }
    }

    #[test]
    fn missing_writes_are_found() {
        let file = file(&[record(12, 13, b"later")]);
        let result = records_after(&file, ID, 11);
        assert!(matches!(result, Err(Error::Corrupted { .. })));
    }

    #[test]
    fn the_log_of_another_database_is_not_read() {
        assert_eq!(records_after(&file(&three()), [8; 16], 10).unwrap(), []);
    }
}
