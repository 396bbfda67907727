//! The dates of a record: ISO 8601 as Python's `datetime` writes and reads it.

use jiff::SignedDuration;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};

use crate::Timestamp;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

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
    written(text).or_else(|| any(text))
}

/// Reads what [`quoted`] writes, without the quotes: that is most dates, and every read has some.
fn written(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.strip_suffix("+00:00")?.split_at_checked(19)?;
    let fraction = match fraction.strip_prefix('.') {
        Some(digits) if digits.len() == 6 => number(digits.as_bytes())?,
        None if fraction.is_empty() => 0,
        _ => return None,
    };
    let seconds = seconds.as_bytes();
    if [4, 7, 10, 13, 16].map(|place| seconds[place]) != *b"--T::" {
        return None;
    }
    let two = |place| i8::try_from(number(&seconds[place..place + 2])?).ok();
    let year = i16::try_from(number(&seconds[..4])?).ok()?;
    let time = DateTime::new(
        year,
        two(5)?,
        two(8)?,
        two(11)?,
        two(14)?,
        two(17)?,
        fraction * 1000,
    );
    since_epoch(time.ok().filter(|_| year > 0)?, SignedDuration::ZERO)
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + i32::from(digit - b'0'))
    })
}

/// Reads a date of any form that ISO 8601 allows and Python reads.
fn any(text: &str) -> Option<Timestamp> {
    let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
    if pieces.time_zone_annotation().is_some() || pieces.date().year() < 1 {
        return None;
    }
    let offset = SignedDuration::from_secs(pieces.to_numeric_offset()?.seconds().into());
    let local: Time = pieces.time()?;
    since_epoch(pieces.date().to_datetime(local), offset)
}

fn since_epoch(local: DateTime, offset: SignedDuration) -> Option<Timestamp> {
    let duration = local.duration_since(EPOCH).checked_sub(offset)?;
    let below = i64::from(duration.subsec_nanos()).div_euclid(1000);
    let micros = duration
        .as_secs()
        .checked_mul(1_000_000)?
        .checked_add(below)?;
    Some(Timestamp::from_micros(micros))
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
    fn a_written_date_is_read_as_any_other_is() {
        for time in [-62_135_596_800_000_000, -1, 0, 1, 1_790_000_000_123_456] {
            let time = Timestamp::from_micros(time);
            let quoted = quoted(time);
            let text = quoted.trim_matches('"');
            assert_eq!((written(text), any(text)), (Some(time), Some(time)));
        }
    }

    #[test]
    fn what_is_not_written_so_is_left_to_the_other_reader() {
        for text in [
            "2026-01-02T03:04:05.12345+00:00",
            "2026-01-02T03:04:05.1234567+00:00",
            "2026-01-02T03:04:05,123456+00:00",
            "2026-01-02 03:04:05+00:00",
            "2026-01-02T03:04:60+00:00",
            "2026-02-30T03:04:05+00:00",
            "+026-01-02T03:04:05+00:00",
            "0000-01-02T03:04:05+00:00",
            "2026-01-02T03:04:05.+12345+00:00",
            "2026-01-02T03:04:05.12345é+00:00",
            "2026-01-02T03:04:05+02:00+00:00",
            "2026-01-02T03:04+00:00",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
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
