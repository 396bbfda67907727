//! [`Hints`]: what `annotations(..)` says of a resource's content.

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Meta, Result, Token};

use crate::options::{known, list, once, text, texts};

const HINTS: [&str; 3] = ["audience", "priority", "last_modified"];

const AUDIENCES: [&str; 2] = ["user", "assistant"];

/// What `annotations(..)` says of a resource's content.
#[derive(Default)]
pub(crate) struct Hints {
    /// Each `user` or `assistant`.
    pub(crate) audience: Vec<LitStr>,
    /// From 0 to 1.
    pub(crate) priority: Option<f32>,
    pub(crate) last_modified: Option<LitStr>,
}

impl Hints {
    /// Reads `annotations(audience("user"), priority = 0.5, last_modified = "..")`.
    ///
    /// # Errors
    ///
    /// At the span of the first hint that is unknown, given twice or no good value.
    pub(crate) fn parse(meta: &Meta) -> Result<Self> {
        const USAGE: &str = "write annotations(audience(\"user\"), priority = 0.5), for example";
        let metas =
            list(meta, USAGE)?.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        let mut seen = Vec::new();
        let mut hints = Self::default();
        for meta in &metas {
            let name = known(meta.path(), &HINTS, "annotation")?;
            once(&mut seen, meta.path(), &name)?;
            match name.as_str() {
                "audience" => hints.audience = audience(meta)?,
                "priority" => hints.priority = Some(priority(meta)?),
                _ => hints.last_modified = Some(text(&name, meta)?),
            }
        }
        Ok(hints)
    }
}

fn audience(meta: &Meta) -> Result<Vec<LitStr>> {
    let audience = texts("audience", meta)?;
    let unknown = |literal: &&LitStr| !AUDIENCES.contains(&literal.value().as_str());
    match audience.iter().find(unknown) {
        None => Ok(audience),
        Some(literal) => {
            let message = format!("unknown audience; known are: {}", AUDIENCES.join(", "));
            Err(Error::new(literal.span(), message))
        }
    }
}

fn priority(meta: &Meta) -> Result<f32> {
    let literal = match meta {
        Meta::NameValue(pair) => number(&pair.value),
        Meta::Path(_) | Meta::List(_) => None,
    };
    let priority = literal.filter(|priority| (0.0..=1.0).contains(priority));
    priority.ok_or_else(|| Error::new(meta.span(), "write priority = 0.5, a number from 0 to 1"))
}

fn number(expression: &Expr) -> Option<f32> {
    let Expr::Lit(ExprLit { lit, .. }) = expression else {
        return None;
    };
    match lit {
        Lit::Float(literal) => literal.base10_parse().ok(),
        Lit::Int(literal) => literal.base10_parse().ok(),
        _ => None,
    }
}
