/// Reads `data` as a record of the disk store: only what it would write itself decodes.
pub fn record(data: &[u8]) {
    kv_disk::fuzz_record(data);
}
