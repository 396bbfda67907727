//! [`CANARY`]: a secret in the values of all cases, and the watch that no log shows it.

use std::fmt::{self, Write as _};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Stands for what a program keeps in a store.
pub(super) const CANARY: &str = "hunter2-of-the-suite";

static FORMS: LazyLock<Vec<String>> = LazyLock::new(|| forms(CANARY));

/// The first line that shows the secret.
static SHOWN: Mutex<Option<String>> = Mutex::new(None);

/// Looks for the secret in all that any crate on any thread of this process logs, from `TRACE` on.
/// Where something else has the process's logs, as in a program with a subscriber of its own, it
/// sees nothing.
pub(super) fn watch_the_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Watch).ok();
    });
}

/// Panics when a log has shown the secret.
pub(super) fn assert_unseen() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(shown.is_none(), "a value is in the log: {shown:?}");
}

struct Watch;

impl Watch {
    fn look(target: &str, line: &Line) {
        if FORMS.iter().any(|form| line.0.contains(form)) {
            let line = format!("{target}:{}", line.0);
            let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
            shown.get_or_insert(line);
        }
    }
}

impl Subscriber for Watch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::default();
        span.record(&mut line);
        Self::look(span.metadata().target(), &line);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line);
        Self::look("a span", &line);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        Self::look(event.metadata().target(), &line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of a span or an event, as text.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.0, " {field}={value:?}");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {field}={value}");
    }
}

/// Returns the forms in which a secret could be printed: as it is, in JSON inside JSON, as numbers,
/// in hexadecimal, percent-encoded, and of base64 those parts that do not depend on what stands
/// before and behind.
#[doc(hidden)]
#[must_use]
pub fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = each(bytes, "", |byte| format!("{byte:02x}"));
    let mut forms = vec![
        secret.to_owned(),
        secret.escape_debug().to_string(),
        secret.escape_debug().to_string().escape_debug().to_string(),
        each(bytes, ", ", |byte| byte.to_string()),
        hex.to_uppercase(),
        hex,
        percent(bytes, "-_.~"),
        percent(bytes, ""),
        each(bytes, "", |byte| format!("%{byte:02X}")),
        each(bytes, "", |byte| format!("\\x{byte:02x}")),
        each(bytes, "", |byte| format!("\\u{byte:04x}")),
    ];
    for start in 0..3 {
        for last in [b"+/", b"-_"] {
            forms.push(base64(bytes.get(start..).unwrap_or_default(), last));
        }
    }
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn each(bytes: &[u8], between: &str, form: impl Fn(u8) -> String) -> String {
    let forms: Vec<String> = bytes.iter().map(|byte| form(*byte)).collect();
    forms.join(between)
}

fn percent(bytes: &[u8], plain: &str) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || plain.as_bytes().contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Encodes the whole groups of three bytes.
fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
    let digits: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(*last)
        .collect();
    let groups = bytes.chunks_exact(3).flat_map(|group| {
        let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| digits[(number >> shift) as usize & 63])
    });
    groups.map(char::from).collect()
}
