//! [`UriTemplate`]: matching URIs against a template.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use regex::Regex;

use super::syntax::{Part, Template};

/// How long a URI may be that is matched against a template.
const MAX_URI_BYTES: usize = 64 * 1024;

/// A URI or URI template, ready to match.
///
/// The syntax is a subset of RFC 6570; see [`ResourceDefinition`](crate::ResourceDefinition).
/// Matching takes time linear in the URI's length.
#[derive(Debug)]
pub(crate) struct UriTemplate {
    template: Template,
    path: Regex,
    /// The parameters whose values are not checked as paths.
    unchecked: BTreeSet<String>,
}

impl UriTemplate {
    /// Reads a URI or a URI template.
    ///
    /// # Errors
    ///
    /// One clause that says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let template = Template::parse(text)?;
        let mut pattern = String::from("^");
        for part in &template.path {
            match part {
                Part::Literal(text) => pattern.push_str(&regex::escape(text)),
                Part::Segment(_) => pattern.push_str("([^/]+)"),
                Part::Rest(_) => pattern.push_str("((?s:.+))"),
            }
        }
        pattern.push('$');
        let path = Regex::new(&pattern).map_err(|_| "it is too long".to_owned())?;
        Ok(Self {
            template,
            path,
            unchecked: BTreeSet::new(),
        })
    }

    /// Takes any values for the parameters `names`, also those that leave a folder.
    ///
    /// # Errors
    ///
    /// One clause that names one that is no parameter.
    pub(crate) fn leave_unchecked(mut self, names: &BTreeSet<String>) -> Result<Self, String> {
        if let Some(name) = names.iter().find(|name| !self.has_parameter(name)) {
            let reason = format!("it does not check `{name}`, which is none of its parameters");
            return Err(reason);
        }
        self.unchecked.clone_from(names);
        Ok(self)
    }

    /// Returns what stands in `uri` for each name, percent-decoded; `None` when `uri` does not
    /// match.
    ///
    /// A URI also fails to match when it has more than [`MAX_URI_BYTES`], when a value is not UTF-8
    /// or holds a NUL, and when a value that is not left unchecked is an absolute path or holds a
    /// `..` segment, so that a value can be joined to a folder. The fragment, and query parameters
    /// that the template does not name, are ignored.
    pub(crate) fn matches(&self, uri: &str) -> Option<BTreeMap<String, String>> {
        if uri.len() > MAX_URI_BYTES {
            return None;
        }
        let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
        let mut values = BTreeMap::new();
        if self.is_literal() {
            return self.path.is_match(uri).then_some(values);
        }
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let captures = self.path.captures(path)?;
        let captured = captures.iter().skip(1).flatten();
        for (name, value) in self.template.path_names().zip(captured) {
            let value = self.value(name, value.as_str())?;
            values.insert(name.to_owned(), value);
        }
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode(&key.replace('+', " "))?;
            let mut parameters = self.template.query.iter();
            if let Some(parameter) = parameters.find(|parameter| parameter.key == key)
                && !values.contains_key(&parameter.name)
            {
                let value = self.value(&parameter.name, &value.replace('+', " "))?;
                values.insert(parameter.name.clone(), value);
            }
        }
        Some(values)
    }

    /// Tells whether a query makes no difference to what matches.
    pub(crate) fn ignores_query(&self) -> bool {
        self.template.query.is_empty()
    }

    /// Tells whether there is a parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        let mut names = self
            .template
            .path_names()
            .chain(self.template.query_names());
        names.any(|other| other == name)
    }

    /// Decodes what stands for `name`, unless it is no good value.
    fn value(&self, name: &str, text: &str) -> Option<String> {
        let value = decode(text)?;
        (self.unchecked.contains(name) || !leaves_its_folder(&value)).then_some(value)
    }

    fn is_literal(&self) -> bool {
        self.template.path_names().next().is_none() && self.template.query.is_empty()
    }
}

/// Returns the one spelling of all that RFC 3986 (section 6.2.2.2) calls equivalent, without the
/// fragment: what need not be percent-encoded is not.
pub(crate) fn canonical(uri: &str) -> Cow<'_, str> {
    let uri = uri.split_once('#').map_or(uri, |(uri, _)| uri);
    let mut parts = uri.split('%');
    let mut canonical = Cow::Borrowed(parts.next().unwrap_or(uri));
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let code = code.filter(|_| !part.starts_with('+')).map(char::from);
        let text = canonical.to_mut();
        match code {
            Some(letter) if letter.is_ascii_alphanumeric() || "-._~".contains(letter) => {
                text.push(letter);
                text.push_str(&part[2..]);
            }
            _ => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    canonical
}

fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

/// Tells whether `value`, joined to a folder, could name something outside of it, on any system.
fn leaves_its_folder(value: &str) -> bool {
    let drive = matches!(value.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || value.starts_with(['/', '\\']) || value.split(['/', '\\']).any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_uris_have_one_spelling() {
        for (uri, spelling) in [
            ("a://b/c", "a://b/c"),
            ("a://%62/%7E%2d#d", "a://b/~-"),
            ("a://%2Fb%20%c3%A4", "a://%2Fb%20%c3%A4"),
            ("a://%2570%", "a://%2570%"),
            ("a://%+1%é%", "a://%+1%é%"),
        ] {
            assert_eq!(canonical(uri), spelling);
        }
    }

    fn values(template: &str, uri: &str) -> Option<Vec<(String, String)>> {
        let template = UriTemplate::parse(template).unwrap();
        Some(template.matches(uri)?.into_iter().collect())
    }

    #[track_caller]
    fn assert_values(template: &str, uri: &str, expected: &[(&str, &str)]) {
        let expected = expected.iter().copied();
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(values(template, uri), Some(expected.collect()), "{uri}");
    }

    #[track_caller]
    fn assert_no_match(template: &str, uri: &str) {
        assert_eq!(values(template, uri), None, "{uri}");
    }

    #[test]
    fn the_check_at_compile_time_is_the_same_code() {
        let ours = include_str!("syntax.rs");
        assert_eq!(ours, include_str!("../../macros/src/syntax.rs"));
    }

    #[test]
    fn a_segment_is_one_or_more_characters_but_a_slash() {
        let template = "user://{id}/profile";
        assert_values(template, "user://7/profile", &[("id", "7")]);
        assert_values(template, "user://é%20b/profile", &[("id", "é b")]);
        assert_values(template, "user://a%2Fb/profile", &[("id", "a/b")]);
        for uri in ["user:///profile", "user://a/b/profile", "user://7/profile/"] {
            assert_no_match(template, uri);
        }
    }

    #[test]
    fn the_rest_is_one_or_more_of_any_character() {
        let template = "file://root/{path*}";
        assert_values(template, "file://root/a/b.txt", &[("path", "a/b.txt")]);
        assert_values(template, "file://root/a\n/b", &[("path", "a\n/b")]);
        assert_no_match(template, "file://root/");
        assert_values("x://{a*}/end", "x://1/2/end", &[("a", "1/2")]);
    }

    #[test]
    fn literals_match_exactly() {
        assert_values("data://a.b", "data://a.b", &[]);
        assert_values("data://a?b=1", "data://a?b=1", &[]);
        assert_no_match("data://a.b", "data://axb");
        assert_no_match("data://a.b", "DATA://a.b");
        assert_no_match("data://a.b", "data://a.b/");
        assert_no_match("data://a", "data://a?b=1");
        assert_no_match("x://a(b)/{c}", "x://ab/c");
    }

    #[test]
    fn query_parameters_are_optional_and_in_any_order() {
        let template = "search://{kind}{?q,max-items}";
        assert_values(template, "search://books", &[("kind", "books")]);
        assert_values(
            template,
            "search://books?max-items=3&q=a+b%2B&other=1",
            &[("kind", "books"), ("max_items", "3"), ("q", "a b+")],
        );
        assert_values(template, "search://b?q=&q=2", &[("kind", "b"), ("q", "")]);
        assert_no_match(template, "search://b?q=%ff");
        assert_no_match(template, "search://b?q=%00");
    }

    #[test]
    fn the_fragment_is_dropped() {
        assert_values("x://{a}", "x://1#part?q=1", &[("a", "1")]);
        assert_values("x://a", "x://a#part", &[]);
    }

    #[test]
    fn a_value_that_leaves_its_folder_does_not_match() {
        for value in [
            "..",
            "%2e%2e",
            "a/../b",
            "a%2f..%2fb",
            "..%5Cb",
            "%2Fetc",
            "%5c%5chost",
            "C:%5Cx",
            "c:x",
            "a%00",
            "%ff",
        ] {
            assert_no_match("file://root/{path*}", &format!("file://root/{value}"));
            if !value.contains('/') {
                assert_no_match("file://root/{path}", &format!("file://root/{value}"));
            }
        }
        assert_no_match("file://root/{path*}", "file://root//etc");
        assert_values("x://r/{p*}", "x://r/a..b/.c", &[("p", "a..b/.c")]);
        assert_values("x://{p}", "x://%252e%252e", &[("p", "%2e%2e")]);
    }

    #[test]
    fn a_value_in_the_query_cannot_leave_its_folder_either() {
        for value in ["..", "%2e%2e/x", "a/../b", "/etc", "%5Cx", "c:x"] {
            assert_no_match("file://root{?path}", &format!("file://root?path={value}"));
        }
        assert_values("x://a{?b}", "x://a?b=1&other=..", &[("b", "1")]);
    }

    #[test]
    fn a_parameter_that_is_left_unchecked_takes_any_text() {
        let template = |names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            UriTemplate::parse("x://{a*}{?q}")?.leave_unchecked(&names)
        };
        let found = template(&["q"]).unwrap();
        assert_eq!(found.matches("x://1?q=/../2").unwrap()["q"], "/../2");
        assert!(found.matches("x://../1").is_none());
        assert!(found.matches("x://1?q=%00").is_none());
        let found = template(&["a", "q"]).unwrap();
        assert_eq!(found.matches("x:///etc/..").unwrap()["a"], "/etc/..");
        assert!(template(&["b"]).unwrap_err().contains("`b`"));
    }

    #[test]
    fn a_hostile_uri_is_matched_in_linear_time() {
        let template = UriTemplate::parse("x://{a*}/{b*}/{c*}/{d*}/end{?q}").unwrap();
        let longest = (MAX_URI_BYTES - "x:///end".len()) / 2;
        let uri = |end: &str| format!("x://{}{end}", "a/".repeat(longest));
        assert!(template.matches(&uri("end")).is_some());
        assert!(template.matches(&uri("/not")).is_none());
        // What the limit would hide: nothing here goes over the text again and again.
        let huge = format!("x://{}", "a/".repeat(512 * 1024));
        assert!(!template.path.is_match(&huge));
        assert!(template.path.is_match(&format!("{huge}end")));
    }

    #[test]
    fn a_uri_that_is_too_long_does_not_match() {
        let template = UriTemplate::parse("x://{a}").unwrap();
        let uri = |length: usize| format!("x://{}", "a".repeat(length - 4));
        assert!(template.matches(&uri(MAX_URI_BYTES)).is_some());
        assert!(template.matches(&uri(MAX_URI_BYTES + 1)).is_none());
        assert!(template.matches(&uri(1024 * 1024)).is_none());
    }

    #[test]
    fn a_bad_template_says_what_is_wrong() {
        for (template, error) in [
            ("", "scheme"),
            ("no scheme", "scheme"),
            ("{a}://b", "scheme"),
            ("1x://b", "scheme"),
            ("x://", "nothing follows"),
            ("x://a b", "spaces"),
            ("x://{a", "never closed"),
            ("x://a}", "no `{`"),
            ("x://{a{b}}", "inside"),
            ("x://{}", "empty"),
            ("x://{*}", "empty"),
            ("x://a{?}", "empty"),
            ("x://a{?b,}", "empty"),
            ("x://{a}/{a}", "`a` stands twice"),
            ("x://{a-b}{?a_b}", "`a_b` stands twice"),
            ("x://{+a}", "not supported"),
            ("x://{1}", "not supported"),
            ("x://a{?b*}", "not supported"),
            ("x://a{?b}/c", "must be the end"),
            ("x://{a}?b={b}", "{?name}"),
            ("x://{a}#b", "fragment"),
        ] {
            let found = UriTemplate::parse(template).unwrap_err();
            assert!(found.contains(error), "{template}: {found}");
        }
    }
}
