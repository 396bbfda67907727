//! Doc comments as descriptions.

use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, Lit, Meta, Result};

/// Returns the text of the doc comments among `attributes`; `None` when there is none.
///
/// The indentation that all lines share and the blank lines around the text are removed.
///
/// # Errors
///
/// When a doc comment is no literal, such as `include_str!(..)`.
pub(crate) fn text_of(attributes: &[Attribute]) -> Result<Option<String>> {
    let mut text = String::new();
    for attribute in attributes {
        let Meta::NameValue(pair) = &attribute.meta else {
            continue;
        };
        if !pair.path.is_ident("doc") {
            continue;
        }
        let literal = match &pair.value {
            Expr::Lit(literal) => Some(&literal.lit),
            _ => None,
        };
        let Some(Lit::Str(literal)) = literal else {
            let message = "only a literal doc comment can be a description; give it as an option";
            return Err(Error::new(pair.value.span(), message));
        };
        text.push_str(&literal.value());
        text.push('\n');
    }
    Ok(dedented(&text))
}

fn dedented(text: &str) -> Option<String> {
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    let indent = filled
        .map(|line| line.len() - line.trim_start_matches(' ').len())
        .min()?;
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.get(indent..).unwrap_or_default().trim_end())
        .collect();
    Some(lines.join("\n").trim_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_indentation_and_blank_edges_go() {
        let text = "\n One.\n\n   - two  \n three\n\n";
        assert_eq!(dedented(text).unwrap(), "One.\n\n  - two\nthree");
        assert_eq!(dedented(" \n\n"), None);
        assert_eq!(dedented(""), None);
        assert_eq!(
            dedented(" ü\n\u{a0}b").unwrap(),
            "ü\n\u{a0}b".replace('ü', " ü")
        );
    }
}
