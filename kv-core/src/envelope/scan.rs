//! Finds where JSON values begin and end, without building them.
//!
//! Takes RFC 8259 and what Python's `json` adds to it: `NaN`, `Infinity`, `-Infinity`, and `\u`
//! escapes that do not pair up. Numbers may have any size and members may repeat. Every byte is
//! looked at once, and nothing recurses.

use std::ops::Range;

use memchr::memchr2;

/// The deepest nesting of a value: what [`Value::from_json`](crate::Value::from_json) takes.
const MAX_DEPTH: u32 = 127;

const NOT_JSON: &str = "it is not JSON";

/// Marks the bytes of `block` that end a string, begin an escape or may not stand in a string, by
/// their highest bits. The lowest mark is right; a carry may set others above it.
const fn special_in(block: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let quote = block ^ (ONES * b'"' as u64);
    let backslash = block ^ (ONES * b'\\' as u64);
    let control = block.wrapping_sub(ONES * 0x20) & !block;
    let quote = quote.wrapping_sub(ONES) & !quote;
    let backslash = backslash.wrapping_sub(ONES) & !backslash;
    (control | quote | backslash) & (ONES << 7)
}

/// What a scan finds, or what is wrong with the text.
type Scan<T> = Result<T, &'static str>;

/// Reads `text` as one object, and hands each member's name (with its quotes) and value on.
pub(crate) fn members(text: &str, member: impl FnMut(Range<usize>, Range<usize>)) -> Scan<()> {
    let text = Text(text.as_bytes());
    let end = text.members(0, member)?;
    text.end(end).ok_or(NOT_JSON)
}

/// Reads `text` as one value, and returns where it stands between the white space.
pub(crate) fn value(text: &str) -> Scan<Range<usize>> {
    let text = Text(text.as_bytes());
    let value = text.value(0)?;
    text.end(value.end).ok_or(NOT_JSON)?;
    Ok(value)
}

/// The text of a record.
///
/// Each method reads something that begins at a place, and returns where the text goes on after
/// it; `None` when it is something else. Places are passed and not kept, which makes them cheap.
#[derive(Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn members(self, at: usize, mut member: impl FnMut(Range<usize>, Range<usize>)) -> Scan<usize> {
        let mut at = self.token(at, b'{').ok_or(NOT_JSON)?;
        if let Some(end) = self.token(at, b'}') {
            return Ok(end);
        }
        loop {
            let name = self.white_space(at);
            let name = name..self.string(name).ok_or(NOT_JSON)?;
            let value = self.value(self.token(name.end, b':').ok_or(NOT_JSON)?)?;
            let end = value.end;
            member(name, value);
            match self.token(end, b',') {
                Some(next) => at = next,
                None => return self.token(end, b'}').ok_or(NOT_JSON),
            }
        }
    }

    /// Reads a value of any kind and returns where it stands.
    fn value(self, at: usize) -> Scan<Range<usize>> {
        let start = self.white_space(at);
        let mut at = start;
        let mut open = Nesting::default();
        loop {
            // A value is due.
            at = self.white_space(at);
            let end = match self.byte(at) {
                Some(b'{') => {
                    open.push(Kind::Object)?;
                    if self.token(at + 1, b'}').is_none() {
                        at = self.name(at + 1).ok_or(NOT_JSON)?;
                        continue;
                    }
                    Some(at + 1)
                }
                Some(b'[') => {
                    open.push(Kind::Array)?;
                    if self.token(at + 1, b']').is_none() {
                        at += 1;
                        continue;
                    }
                    Some(at + 1)
                }
                Some(b'"') => self.string(at),
                Some(b'-' | b'0'..=b'9') => self.number(at),
                _ => self.word(at),
            };
            at = end.ok_or(NOT_JSON)?;
            // A value has ended or an empty one is open, and what is around it may end too.
            loop {
                let Some(around) = open.innermost() else {
                    return Ok(start..at);
                };
                at = self.white_space(at);
                let next = match (around, self.byte(at)) {
                    (Kind::Object, Some(b',')) => self.name(at + 1),
                    (Kind::Array, Some(b',')) => Some(at + 1),
                    (Kind::Object, Some(b'}')) | (Kind::Array, Some(b']')) => {
                        at += 1;
                        open.pop();
                        continue;
                    }
                    _ => None,
                };
                at = next.ok_or(NOT_JSON)?;
                break;
            }
        }
    }

    /// Reads a member's name and the colon after it.
    fn name(self, at: usize) -> Option<usize> {
        let end = self.string(self.white_space(at))?;
        self.token(end, b':')
    }

    fn string(self, at: usize) -> Option<usize> {
        let mut at = self.literal(at, b"\"")?;
        loop {
            at = self.plain(at);
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at = self.escape(at + 1)?,
                _ => return None,
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
            b'u' => {
                let digits: &[u8; 4] = self.0.get(at + 1..)?.first_chunk()?;
                let all = digits.iter().all(u8::is_ascii_hexdigit);
                all.then_some(at + 1 + digits.len())
            }
            _ => None,
        }
    }

    /// Skips to the next byte that is special in a string, or to the end: 8 bytes at a time as far
    /// as a short one goes, and then many, as most of a record is the text of strings.
    fn plain(self, mut at: usize) -> usize {
        let short = at + 32;
        while at < short
            && let Some(block) = self.0[at..].first_chunk()
        {
            let special = special_in(u64::from_le_bytes(*block));
            if special != 0 {
                return at + special.trailing_zeros() as usize / 8;
            }
            at += block.len();
        }
        let rest = &self.0[at..];
        let plain = &rest[..memchr2(b'"', b'\\', rest).unwrap_or(rest.len())];
        // To look for the least byte compiles to vector instructions, to look for a place does not.
        let least = plain.iter().fold(u8::MAX, |least, byte| least.min(*byte));
        if least < 0x20 {
            return at + plain.iter().take_while(|byte| **byte >= 0x20).count();
        }
        at + plain.len()
    }

    fn number(self, mut at: usize) -> Option<usize> {
        if self.byte(at) == Some(b'-') {
            at += 1;
            if self.byte(at) == Some(b'I') {
                return self.literal(at, b"Infinity");
            }
        }
        at = if self.byte(at) == Some(b'0') {
            at + 1
        } else {
            self.digits(at)?
        };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            at += 1;
            if let Some(b'+' | b'-') = self.byte(at) {
                at += 1;
            }
            at = self.digits(at)?;
        }
        Some(at)
    }

    /// Reads one digit or more.
    fn digits(self, at: usize) -> Option<usize> {
        let mut end = at;
        while self.byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
            end += 1;
        }
        (end > at).then_some(end)
    }

    fn word(self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b't' => self.literal(at, b"true"),
            b'f' => self.literal(at, b"false"),
            b'n' => self.literal(at, b"null"),
            b'N' => self.literal(at, b"NaN"),
            b'I' => self.literal(at, b"Infinity"),
            _ => None,
        }
    }

    fn literal(self, at: usize, literal: &[u8]) -> Option<usize> {
        let found = self.0.get(at..)?.starts_with(literal);
        found.then_some(at + literal.len())
    }

    /// Reads `byte` after white space.
    fn token(self, at: usize, byte: u8) -> Option<usize> {
        let at = self.white_space(at);
        (self.byte(at)? == byte).then_some(at + 1)
    }

    /// Reads white space and the end of the text.
    fn end(self, at: usize) -> Option<()> {
        (self.white_space(at) == self.0.len()).then_some(())
    }

    fn white_space(self, mut at: usize) -> usize {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte(at) {
            at += 1;
        }
        at
    }

    fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Object,
    Array,
}

/// The objects and arrays around a place in the text: a stack of bits, set for an object.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: u32,
}

impl Nesting {
    fn push(&mut self, kind: Kind) -> Scan<()> {
        if self.depth == MAX_DEPTH {
            return Err("it is nested deeper than 128 levels");
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(matches!(kind, Kind::Object));
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
    }

    const fn innermost(&self) -> Option<Kind> {
        match (self.depth, self.objects & 1) {
            (0, _) => None,
            (_, 0) => Some(Kind::Array),
            _ => Some(Kind::Object),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_adds_to_json_is_taken() {
        for text in [
            "NaN",
            "[-Infinity,Infinity]",
            "1e400",
            "100000000000000000000000000000000",
            r#""\ud800 \uDC00 \udc00\ud800""#,
            r#"{"a":1,"a":2}"#,
        ] {
            assert_eq!(value(text), Ok(0..text.len()), "{text}");
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_block_is_judged_as_it_is_alone() {
        for byte in 0..=u8::MAX {
            let is_special = matches!(byte, b'"' | b'\\' | 0x00..=0x1f);
            for (place, other) in (0..8).zip([b'a', 0x20, 0x21, 0x23, 0x5b, 0x7f, 0x80, 0xff]) {
                let mut block = [other; 8];
                block[place] = byte;
                let first = special_in(u64::from_le_bytes(block)).trailing_zeros() as usize / 8;
                assert_eq!(
                    first,
                    if is_special { place } else { 8 },
                    "{byte} at {place}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "[}",
            "{]",
            "{,}",
            "[,]",
            "[1,]",
            "[1 2]",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{a:1}",
            "{1:1}",
            "'a'",
            r#"""#,
            r#""\"#,
            r#""\x41""#,
            r#""\u12""#,
            r#""\u123""#,
            r#""\u12g4""#,
            "\"\n\"",
            "\"\u{1f}\"",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "1e",
            "1e+",
            "0x1",
            "--1",
            "-NaN",
            "nan",
            "Inf",
            "tru",
            "truee",
            "nullx",
            "1 x",
            "{}{}",
            "\u{feff}{}",
            "\u{a0}1",
            "//x\n1",
        ] {
            assert_eq!(value(text), Err(NOT_JSON), "{text}");
        }
    }

    #[test]
    fn the_span_leaves_out_the_white_space_around() {
        assert_eq!(value(" \r\n\t[ 1 , {} ] \n"), Ok(4..14));
    }

    #[test]
    fn a_member_is_handed_on_with_its_quotes() {
        let text = r#" { "a" : 1 , "b":[ ] } "#;
        let mut seen = Vec::new();
        members(text, |name, value| seen.push((&text[name], &text[value]))).unwrap();
        assert_eq!(seen, [(r#""a""#, "1"), (r#""b""#, "[ ]")]);
    }

    #[test]
    fn nesting_of_127_levels_is_taken_and_one_more_refused() {
        for (start, end) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth| format!("{}{}{}", start.repeat(depth), 1, end.repeat(depth));
            assert!(value(&nested(127)).is_ok());
            assert_eq!(
                value(&nested(128)),
                Err("it is nested deeper than 128 levels")
            );
        }
    }

    #[test]
    fn a_million_open_brackets_are_refused_without_recursion() {
        assert!(value(&"[".repeat(1_000_000)).is_err());
    }
}
