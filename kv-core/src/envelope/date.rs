//! The dates of a record: ISO 8601 as Python's `datetime` writes and reads it.

use jiff::SignedDuration;
use jiff::civil::Time;
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};

use crate::Timestamp;

/// Writes what `datetime.isoformat()` writes of a UTC time, in quotes: 6 fraction digits, or none
/// on the full second. Python 3.10 reads nothing else.
pub(super) fn quoted(time: Timestamp) -> String {
    let civil = time.civil();
    let digits = (civil.subsec_nanosecond() != 0).then_some(6);
    let printer = DateTimePrinter::new().precision(digits);
    format!("\"{}+00:00\"", printer.datetime_to_string(&civil))
}

/// Reads a date with a time and an offset; `None` when it is something else.
///
/// Digits below the microsecond are cut off, as Python does.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
    if pieces.time_zone_annotation().is_some() || pieces.date().year() < 1 {
        return None;
    }
    let offset = SignedDuration::from_secs(pieces.to_numeric_offset()?.seconds().into());
    let local: Time = pieces.time()?;
    let since_epoch = pieces
        .date()
        .to_datetime(local)
        .duration_since(Timestamp::UNIX_EPOCH.civil())
        .checked_sub(offset)?;
    let micros = since_epoch.as_nanos().div_euclid(1000);
    i64::try_from(micros).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        parse(text).map(Timestamp::as_micros)
    }

    #[test]
    fn a_written_date_has_six_digits_or_none() {
        for (micros, text) in [
            (0, "\"1970-01-01T00:00:00+00:00\""),
            (1, "\"1970-01-01T00:00:00.000001+00:00\""),
            (500_000, "\"1970-01-01T00:00:00.500000+00:00\""),
            (-1, "\"1969-12-31T23:59:59.999999+00:00\""),
        ] {
            assert_eq!(quoted(Timestamp::from_micros(micros)), text);
        }
    }

    #[test]
    fn the_first_and_the_last_time_come_back() {
        for time in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(parse(quoted(time).trim_matches('"')), Some(time));
        }
    }

    #[test]
    fn any_offset_and_any_number_of_digits_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:01Z", 1_000_000),
            ("1970-01-01T00:00:01+00:00", 1_000_000),
            ("1970-01-01 00:00:01-00:00", 1_000_000),
            ("1970-01-01T02:00:01+02:00", 1_000_000),
            ("1969-12-31T18:30:01-05:30", 1_000_000),
            ("1970-01-01T00:00:01.1Z", 1_100_000),
            ("1970-01-01T00:00:01.123456789Z", 1_123_456),
            ("1969-12-31T23:59:59.9999999Z", -1),
        ] {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_time_that_its_offset_moves_out_of_range_is_held_at_the_end() {
        assert_eq!(parse("9999-12-31T23:59:59-01:00"), Some(Timestamp::MAX));
        assert_eq!(parse("0001-01-01T00:00:00+01:00"), Some(Timestamp::MIN));
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "2026-01-02",
            "2026-01-02T03:04:05",
            "2026-13-02T03:04:05Z",
            "2026-02-29T03:04:05Z",
            "2026-01-02T25:04:05Z",
            "0000-01-02T03:04:05Z",
            "-000001-01-02T03:04:05Z",
            "+010000-01-02T03:04:05Z",
            "2026-01-02T03:04:05Zx",
            "2026-01-02T03:04:05+02:00[Europe/Paris]",
            "1700000000",
            "٢٠٢٦-01-02T03:04:05Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
