//! Finds where JSON values begin and end, without building them.
//!
//! Takes RFC 8259 and what Python's `json` adds to it: `NaN`, `Infinity`, `-Infinity`, and `\u`
//! escapes that do not pair up. Numbers may have any size and members may repeat. Every byte is
//! looked at once, and nothing recurses.

use std::ops::Range;

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
pub(super) fn members(text: &str, mut member: impl FnMut(Range<usize>, Range<usize>)) -> Scan<()> {
    let mut scanner = Scanner::new(text);
    scanner.expect(b'{')?;
    if !scanner.eat(b'}') {
        loop {
            let name = scanner.name()?;
            let value = scanner.value()?;
            member(name, value);
            if !scanner.eat(b',') {
                break;
            }
        }
        scanner.expect(b'}')?;
    }
    scanner.end()
}

/// Reads `text` as one value, and returns where it stands between the white space.
pub(super) fn value(text: &str) -> Scan<Range<usize>> {
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value)
}

/// A place in the text. It moves forward only, and in whole tokens.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
        }
    }

    /// Reads a value of any kind and returns where it stands.
    fn value(&mut self) -> Scan<Range<usize>> {
        self.white_space();
        let start = self.at;
        let mut open = Nesting::default();
        loop {
            // A value is due.
            self.white_space();
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    open.push(Kind::Object)?;
                    if !self.is_next(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    open.push(Kind::Array)?;
                    if !self.is_next(b']') {
                        continue;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                _ => self.word()?,
            }
            // A value has ended or an empty one is open, and what is around it may end too.
            loop {
                match open.innermost() {
                    None => return Ok(start..self.at),
                    Some(Kind::Object) if self.eat(b',') => {
                        self.name()?;
                        break;
                    }
                    Some(Kind::Array) if self.eat(b',') => break,
                    Some(Kind::Object) => self.expect(b'}')?,
                    Some(Kind::Array) => self.expect(b']')?,
                }
                open.pop();
            }
        }
    }

    /// Reads a member's name and the colon after it.
    fn name(&mut self) -> Scan<Range<usize>> {
        self.white_space();
        let start = self.at;
        self.string()?;
        let name = start..self.at;
        self.expect(b':')?;
        Ok(name)
    }

    fn string(&mut self) -> Scan<()> {
        self.literal(b"\"")?;
        loop {
            self.skip_plain();
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => self.escape()?,
                _ => return Err(NOT_JSON),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Scan<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => {
                for _ in 0..4 {
                    if !self.next()?.is_ascii_hexdigit() {
                        return Err(NOT_JSON);
                    }
                }
                Ok(())
            }
            _ => Err(NOT_JSON),
        }
    }

    /// Skips to the next byte that is special in a string, 8 bytes at a time: most of a record is
    /// the text of strings.
    fn skip_plain(&mut self) {
        while let Some(block) = self.text[self.at..].first_chunk() {
            let special = special_in(u64::from_le_bytes(*block));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += size_of::<u64>();
        }
        while self
            .peek()
            .is_some_and(|byte| special_in(byte.into()) & 0x80 == 0)
        {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Scan<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
            if self.peek() == Some(b'I') {
                return self.literal(b"Infinity");
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Reads one digit or more.
    fn digits(&mut self) -> Scan<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return Err(NOT_JSON);
        }
        Ok(())
    }

    fn word(&mut self) -> Scan<()> {
        match self.peek() {
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'N') => self.literal(b"NaN"),
            Some(b'I') => self.literal(b"Infinity"),
            _ => Err(NOT_JSON),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Scan<()> {
        if !self.text[self.at..].starts_with(literal) {
            return Err(NOT_JSON);
        }
        self.at += literal.len();
        Ok(())
    }

    /// Tells whether `byte` comes next after white space.
    fn is_next(&mut self, byte: u8) -> bool {
        self.white_space();
        self.peek() == Some(byte)
    }

    /// Takes `byte` if it comes next after white space.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.is_next(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.eat(byte) {
            Ok(())
        } else {
            Err(NOT_JSON)
        }
    }

    fn end(&mut self) -> Scan<()> {
        self.white_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(NOT_JSON)
        }
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Scan<u8> {
        let byte = self.peek().ok_or(NOT_JSON)?;
        self.at += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
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
