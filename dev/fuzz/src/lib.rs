//! What is fuzzed: functions of any bytes, each of which panics when a promise is broken.
//!
//! `dev/fuzz/run` drives them with libFuzzer; the tests run them over the kept inputs.

mod compressed;
mod cursors;
mod envelope;
mod fernet;
mod names;
#[cfg(fuzzing)]
mod record;

pub use compressed::compressed;
pub use cursors::cursors;
pub use envelope::envelope;
pub use fernet::fernet;
pub use names::names;
#[cfg(fuzzing)]
pub use record::record;

/// Runs `future` on this thread's runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime without I/O starts");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// Takes the first byte off `data`; 0 when there is none.
fn first(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (*first, rest))
}
