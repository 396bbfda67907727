//! The syntax of URI templates.
//!
//! This file stands word for word in `mcp-server` and in `mcp-server-macros`, whose check at compile
//! time must agree with the server's: a proc-macro crate can share no code. A test compares them.

/// A URI template, in parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// What the URI consists of up to its query.
    pub(crate) path: Vec<Part>,
    /// The parameters of `{?a,b}`.
    pub(crate) query: Vec<QueryParameter>,
}

/// A part of the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// These very characters.
    Literal(String),
    /// `{name}`: one or more characters but `/`.
    Segment(String),
    /// `{name*}`: one or more characters.
    Rest(String),
}

/// A name in `{?a,b}`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueryParameter {
    /// The name as it stands in URIs.
    pub(crate) key: String,
    /// The name of the function's parameter.
    pub(crate) name: String,
}

impl Template {
    /// Reads a URI or a URI template.
    ///
    /// # Errors
    ///
    /// One clause that says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        check_scheme(text)?;
        let mut template = Self {
            path: Vec::new(),
            query: Vec::new(),
        };
        let mut rest = text;
        while !rest.is_empty() {
            if !template.query.is_empty() {
                return Err("{?..} must be the end of the template".to_owned());
            }
            let Some((before, after)) = rest.split_once('{') else {
                template.literal(rest)?;
                break;
            };
            template.literal(before)?;
            let Some((expression, after)) = after.split_once('}') else {
                return Err("a `{` is never closed".to_owned());
            };
            template.expression(expression)?;
            rest = after;
        }
        if text.contains('{') && text.contains('#') {
            return Err("a template cannot have a fragment".to_owned());
        }
        template.check_names()?;
        Ok(template)
    }

    /// Returns the names of the parameters that stand in the path.
    pub(crate) fn path_names(&self) -> impl Iterator<Item = &str> {
        self.path.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Segment(name) | Part::Rest(name) => Some(name.as_str()),
        })
    }

    /// Returns the names of the parameters that stand in the query.
    pub(crate) fn query_names(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|parameter| parameter.name.as_str())
    }

    fn literal(&mut self, text: &str) -> Result<(), String> {
        if text.contains('}') {
            return Err("a `}` has no `{`".to_owned());
        }
        if !text.is_empty() {
            self.path.push(Part::Literal(text.to_owned()));
        }
        Ok(())
    }

    fn expression(&mut self, expression: &str) -> Result<(), String> {
        if expression.contains('{') {
            return Err("a `{` stands inside `{..}`".to_owned());
        }
        if let Some(keys) = expression.strip_prefix('?') {
            for key in keys.split(',') {
                let (key, name) = (key.to_owned(), name_of(key)?);
                self.query.push(QueryParameter { key, name });
            }
        } else if let Some(name) = expression.strip_suffix('*') {
            self.path.push(Part::Rest(name_of(name)?));
        } else {
            self.path.push(Part::Segment(name_of(expression)?));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), String> {
        let mut seen = Vec::new();
        for name in self.path_names().chain(self.query_names()) {
            if seen.contains(&name) {
                return Err(format!("the name `{name}` stands twice"));
            }
            seen.push(name);
        }
        let has_parameters = !seen.is_empty();
        let literal_query = |part: &Part| matches!(part, Part::Literal(text) if text.contains('?'));
        if has_parameters && self.path.iter().any(literal_query) {
            return Err("query parameters of a template are written {?name}".to_owned());
        }
        Ok(())
    }
}

/// Checks that `text` begins with a scheme and that something follows it.
fn check_scheme(text: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let starts = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let mut letters = scheme.chars();
    if !starts || !letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter)) {
        return Err("it must start with a scheme, as in `data://`".to_owned());
    }
    if rest.trim_start_matches('/').is_empty() {
        return Err("nothing follows the scheme".to_owned());
    }
    let invalid = |letter: char| letter.is_whitespace() || letter.is_control();
    if rest.contains(invalid) {
        return Err("a URI holds no spaces".to_owned());
    }
    Ok(())
}

/// Returns the name of the function's parameter that `key` fills.
fn name_of(key: &str) -> Result<String, String> {
    if key.is_empty() {
        return Err("a name is empty".to_owned());
    }
    let starts = key.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let mut letters = key.chars();
    if !starts || !letters.all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter)) {
        return Err(format!(
            "`{{{key}}}` is not supported; write {{name}}, {{name*}} or {{?a,b}}"
        ));
    }
    Ok(key.replace('-', "_"))
}
