//! The check of a message's JSON, in one pass and without building a tree.
//!
//! rmcp reads a message with serde, which lets a duplicate member win silently and answers what it
//! cannot read without a JSON-RPC error. What two readers could understand differently is refused
//! here.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::reply::{INVALID_REQUEST, PARSE_ERROR, quote};

/// Arrays and objects may be nested less deep than this: `serde_json`, by which rmcp reads the
/// message afterwards, stops here.
const MAX_DEPTH: usize = 128;

/// Elements and members of a message, at whatever depth. rmcp reads it into a tree, which for small
/// values is many times the size of the body.
const MAX_VALUES: usize = 100_000;

/// The longest id of a request, in bytes.
const MAX_ID_BYTES: usize = 256;

/// Up to so many names are compared one by one, which is faster than hashing them.
const FEW_NAMES: usize = 8;

/// Why a body is no message.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) struct Refusal {
    pub(in crate::transport) code: i32,
    pub(in crate::transport) message: String,
}

impl Refusal {
    fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: INVALID_REQUEST,
            message: message.into(),
        }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self {
            code: PARSE_ERROR,
            message: message.into(),
        }
    }
}

/// Checks that `body` is one JSON-RPC 2.0 message without duplicate members.
///
/// Takes time linear in the body, and memory for the names of the members on one path of it.
pub(in crate::transport) fn check(body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::malformed("the body is empty"));
    }
    let findings = RefCell::default();
    let mut reader = serde_json::Deserializer::from_slice(body);
    reader.disable_recursion_limit();
    let kind = Node::top(&findings)
        .deserialize(&mut reader)
        .and_then(|kind| reader.end().map(|()| kind));
    let Findings {
        message, refusal, ..
    } = findings.into_inner();
    match kind {
        Ok(Kind::Object) => message.check().map_err(Refusal::invalid),
        Ok(_) => Err(Refusal::invalid("a message must be an object")),
        Err(error) => Err(refusal.unwrap_or_else(|| {
            let (line, column) = (error.line(), error.column());
            Refusal::malformed(format!("the body is no valid JSON at {line}:{column}"))
        })),
    }
}

/// What the reading found beside the values: serde's errors carry text only.
#[derive(Default)]
struct Findings {
    message: Message,
    values: usize,
    refusal: Option<Refusal>,
}

/// What a JSON value is, as far as the check must know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Integer,
    /// A string that can be an id.
    String,
    /// A longer one, or one with control characters.
    Text,
    /// The string `2.0`.
    Version,
    Object,
    Other,
}

/// Where in the message a value stands.
#[derive(Clone, Copy)]
struct Node<'a> {
    depth: usize,
    findings: &'a RefCell<Findings>,
}

impl<'a> Node<'a> {
    fn top(findings: &'a RefCell<Findings>) -> Self {
        Self { depth: 0, findings }
    }

    fn child<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth >= MAX_DEPTH {
            return Err(self.refuse(format!("the message is nested {MAX_DEPTH} levels deep")));
        }
        Ok(Self { depth, ..self })
    }

    /// Counts an element or member.
    fn count<E: de::Error>(self) -> Result<(), E> {
        let values = {
            let mut findings = self.findings.borrow_mut();
            findings.values += 1;
            findings.values
        };
        if values > MAX_VALUES {
            return Err(self.refuse(format!("the message has more than {MAX_VALUES} values")));
        }
        Ok(())
    }

    /// Ends the reading.
    fn refuse<E: de::Error>(self, message: impl Into<String>) -> E {
        self.findings.borrow_mut().refusal = Some(Refusal::invalid(message));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Kind;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Kind, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Integer)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Kind, E> {
        Ok(i64::try_from(number).map_or(Kind::Other, |_| Kind::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(if text == "2.0" {
            Kind::Version
        } else if self.depth > 1 || is_id(text) {
            // Deeper ones are not looked at.
            Kind::String
        } else {
            Kind::Text
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        if self.depth == 0 {
            return Err(self.refuse("batches are not supported"));
        }
        let child = self.child()?;
        while items.next_element_seed(child)?.is_some() {
            self.count()?;
        }
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let child = self.child()?;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            self.count()?;
            let kind = members.next_value_seed(child)?;
            if self.depth == 0 {
                self.findings.borrow_mut().message.note(&name, kind);
            }
            if let Err(name) = names.insert(name) {
                return Err(self.refuse(format!("duplicate member `{}`", quote(&name))));
            }
        }
        Ok(Kind::Object)
    }
}

/// The members that make an object a JSON-RPC message.
#[derive(Default)]
struct Message {
    version: Option<Kind>,
    id: Option<Kind>,
    method: Option<Kind>,
    answer: bool,
}

impl Message {
    fn note(&mut self, name: &str, kind: Kind) {
        match name {
            "jsonrpc" => self.version = Some(kind),
            "id" => self.id = Some(kind),
            "method" => self.method = Some(kind),
            "result" | "error" => self.answer = true,
            _ => {}
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.version != Some(Kind::Version) {
            return Err("`jsonrpc` must be \"2.0\"");
        }
        match self.method {
            Some(Kind::String | Kind::Text | Kind::Version) => {}
            Some(_) => return Err("`method` must be a string"),
            None if self.answer => {}
            None => return Err("a message needs `method`, `result` or `error`"),
        }
        match self.id {
            None | Some(Kind::Integer | Kind::String | Kind::Version) => Ok(()),
            // An error that belongs to no request has a null id.
            Some(Kind::Null) if self.method.is_none() => Ok(()),
            Some(Kind::Text) => Err("`id` must have at most 256 bytes and no control characters"),
            Some(_) => Err("`id` must be a string or a 64-bit integer"),
        }
    }
}

/// Ids are kept and logged.
fn is_id(text: &str) -> bool {
    text.len() <= MAX_ID_BYTES && !text.contains(char::is_control)
}

/// The names of one object so far.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    /// Adds `name`, or gives it back when it is there.
    fn insert(&mut self, name: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        if self.few.contains(&name) || self.many.contains(&name) {
            return Err(name);
        }
        if self.few.len() < FEW_NAMES {
            self.few.push(name);
        } else {
            self.many.insert(name);
        }
        Ok(())
    }
}

/// Reads a member's name, borrowed from the body where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
