//! [`Options`]: what stands in the parentheses of an attribute.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Error, Expr, ExprLit, Ident, Lit, LitInt, LitStr, Meta, MetaList, MetaNameValue, Path, Result,
    Token, Type,
};

use crate::hints::Hints;
use crate::kind::Kind;

const TASK: [&str; 3] = ["required", "on_demand", "resume"];

const ANNOTATIONS: [&str; 4] = ["read_only", "destructive", "idempotent", "open_world"];

/// What stands in the parentheses of an attribute.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) uri: Option<LitStr>,
    pub(crate) name: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    pub(crate) description: Option<LitStr>,
    pub(crate) mime_type: Option<LitStr>,
    pub(crate) version: Option<LitStr>,
    pub(crate) tags: Vec<LitStr>,
    pub(crate) scopes: Vec<LitStr>,
    /// The parameters whose values are not checked as paths.
    pub(crate) unchecked: Vec<LitStr>,
    pub(crate) annotations: Vec<(Ident, bool)>,
    /// What is said of a resource's content.
    pub(crate) hints: Option<Hints>,
    pub(crate) size: Option<LitInt>,
    /// An icon's address, or an icon.
    pub(crate) icons: Vec<Expr>,
    pub(crate) meta: Vec<(LitStr, Expr)>,
    pub(crate) output_schema: Option<Type>,
    pub(crate) timeout: Option<Expr>,
    pub(crate) cache: Option<Expr>,
    pub(crate) enabled: Option<bool>,
    pub(crate) inline: Option<Path>,
    /// What is said of tasks, if calls become some.
    pub(crate) task: Option<Vec<Ident>>,
}

impl Options {
    /// Reads the options of `kind`.
    ///
    /// # Errors
    ///
    /// At the span of the first option that is unknown, given twice, or not a literal.
    pub(crate) fn parse(kind: Kind, tokens: TokenStream) -> Result<Self> {
        let parser = |input: ParseStream<'_>| {
            let mut options = Self::default();
            if kind == Kind::Resource {
                options.uri = Some(uri(input)?);
            }
            let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
            let mut seen = Vec::new();
            for meta in &metas {
                let option = known(meta.path(), kind.options(), "option")?;
                once(&mut seen, meta.path(), &option)?;
                options.set(kind, &option, meta)?;
            }
            Ok(options)
        };
        parser.parse2(tokens)
    }

    fn set(&mut self, kind: Kind, option: &str, meta: &Meta) -> Result<()> {
        match option {
            "tags" => self.tags = texts(option, meta)?,
            "scopes" => self.scopes = some(option, meta)?,
            "unchecked" => self.unchecked = texts(option, meta)?,
            "annotations" if kind == Kind::Resource => self.hints = Some(Hints::parse(meta)?),
            "size" => self.size = Some(size(meta)?),
            "annotations" => self.annotations = annotations(meta)?,
            "icons" => self.icons = icons(meta)?,
            "meta" => self.meta = pairs(meta)?,
            "output_schema" => {
                let list = list(
                    meta,
                    "write output_schema(Type), with the type it is that of",
                )?;
                self.output_schema = Some(list.parse_args()?);
            }
            "timeout" | "cache" => {
                let time = Some(duration(option, meta)?);
                let place = if option == "cache" {
                    &mut self.cache
                } else {
                    &mut self.timeout
                };
                *place = time;
            }
            "enabled" => self.enabled = Some(enabled(meta)?),
            "task" => self.task = Some(task(meta)?),
            "inline" => self.inline = Some(meta.require_path_only()?.clone()),
            "name" => self.name = Some(text(option, meta)?),
            "title" => self.title = Some(text(option, meta)?),
            "version" => self.version = Some(text(option, meta)?),
            "description" => self.description = Some(text(option, meta)?),
            _ => self.mime_type = Some(text(option, meta)?),
        }
        Ok(())
    }
}

/// Reads the URI with which the options of a resource begin.
fn uri(input: ParseStream<'_>) -> Result<LitStr> {
    const USAGE: &str = "begin with the resource's URI, as in #[resource(\"data://{id}\")]";
    if input.is_empty() {
        return Err(Error::new(Span::call_site(), USAGE));
    }
    if !input.peek(LitStr) {
        return Err(input.error(USAGE));
    }
    let uri = input.parse()?;
    if !input.is_empty() {
        input.parse::<Token![,]>()?;
    }
    Ok(uri)
}

/// Returns the name that `path` is, which must be one of `names`.
pub(crate) fn known(path: &Path, names: &[&str], noun: &str) -> Result<String> {
    let name = path.get_ident().map(ToString::to_string);
    name.filter(|name| names.contains(&name.as_str()))
        .ok_or_else(|| {
            let message = format!("unknown {noun}; known are: {}", names.join(", "));
            Error::new(path.span(), message)
        })
}

pub(crate) fn once(seen: &mut Vec<String>, path: &Path, name: &str) -> Result<()> {
    if seen.iter().any(|other| other == name) {
        return Err(Error::new(path.span(), format!("`{name}` is given twice")));
    }
    seen.push(name.to_owned());
    Ok(())
}

pub(crate) fn text(option: &str, meta: &Meta) -> Result<LitStr> {
    let literal = match meta {
        Meta::NameValue(pair) => string(&pair.value),
        Meta::Path(_) | Meta::List(_) => None,
    };
    let literal = literal.ok_or_else(|| {
        let message = format!("write {option} = \"..\", with a string literal");
        Error::new(meta.span(), message)
    })?;
    if literal.value().trim().is_empty() {
        return Err(Error::new(literal.span(), format!("the {option} is empty")));
    }
    Ok(literal)
}

fn string(expression: &Expr) -> Option<LitStr> {
    match expression {
        Expr::Lit(ExprLit {
            lit: Lit::Str(literal),
            ..
        }) => Some(literal.clone()),
        _ => None,
    }
}

pub(crate) fn list<'a>(meta: &'a Meta, usage: &str) -> Result<&'a MetaList> {
    match meta {
        Meta::List(list) => Ok(list),
        Meta::Path(_) | Meta::NameValue(_) => Err(Error::new(meta.span(), usage)),
    }
}

pub(crate) fn texts(option: &str, meta: &Meta) -> Result<Vec<LitStr>> {
    let usage = format!("write {option}(\"..\", \"..\"), with string literals");
    let texts =
        list(meta, &usage)?.parse_args_with(Punctuated::<Expr, Token![,]>::parse_terminated)?;
    texts
        .iter()
        .map(|text| string(text).ok_or_else(|| Error::new(text.span(), &usage)))
        .collect()
}

/// Reads texts, of which there must be one.
fn some(option: &str, meta: &Meta) -> Result<Vec<LitStr>> {
    let texts = texts(option, meta)?;
    if texts.is_empty() {
        return Err(Error::new(meta.span(), format!("the {option} are empty")));
    }
    Ok(texts)
}

fn task(meta: &Meta) -> Result<Vec<Ident>> {
    const USAGE: &str = "write task, or task(required, resume), for example";
    if matches!(meta, Meta::Path(_)) {
        return Ok(Vec::new());
    }
    let paths =
        list(meta, USAGE)?.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated)?;
    let mut seen = Vec::new();
    let mut options = Vec::new();
    for path in &paths {
        let name = known(path, &TASK, "option of tasks")?;
        once(&mut seen, path, &name)?;
        options.push(Ident::new(&name, path.span()));
    }
    Ok(options)
}

fn annotations(meta: &Meta) -> Result<Vec<(Ident, bool)>> {
    const USAGE: &str = "write annotations(read_only, destructive = false), for example";
    let metas =
        list(meta, USAGE)?.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
    let mut seen = Vec::new();
    let mut annotations = Vec::new();
    for meta in &metas {
        let name = known(meta.path(), &ANNOTATIONS, "annotation")?;
        once(&mut seen, meta.path(), &name)?;
        let value = match meta {
            Meta::Path(_) => Some(true),
            Meta::NameValue(pair) => boolean(&pair.value),
            Meta::List(_) => None,
        };
        let value = value.ok_or_else(|| {
            let message = format!("write {name} = true or {name} = false");
            Error::new(meta.span(), message)
        })?;
        annotations.push((Ident::new(&name, meta.path().span()), value));
    }
    Ok(annotations)
}

fn icons(meta: &Meta) -> Result<Vec<Expr>> {
    const USAGE: &str = "write icons(\"https://..\"), with addresses or with values of type Icon";
    let icons =
        list(meta, USAGE)?.parse_args_with(Punctuated::<Expr, Token![,]>::parse_terminated)?;
    Ok(icons.into_iter().collect())
}

/// Reads `meta("key" = value, key = value)`.
fn pairs(meta: &Meta) -> Result<Vec<(LitStr, Expr)>> {
    const USAGE: &str = "write meta(key = value, \"example.com/key\" = value)";
    let pair = |input: ParseStream<'_>| {
        let key = if input.peek(LitStr) {
            input.parse()?
        } else {
            let key: Ident = input.call(Ident::parse_any)?;
            LitStr::new(&key.to_string(), key.span())
        };
        input.parse::<Token![=]>()?;
        Ok((key, input.parse()?))
    };
    let pairs = list(meta, USAGE)?
        .parse_args_with(|input: ParseStream<'_>| input.parse_terminated(pair, Token![,]))?;
    let mut seen = Vec::new();
    for (key, _) in &pairs {
        if seen.contains(&key.value()) {
            return Err(Error::new(key.span(), "this key is given twice"));
        }
        seen.push(key.value());
    }
    Ok(pairs.into_iter().collect())
}

fn duration(option: &str, meta: &Meta) -> Result<Expr> {
    match meta {
        Meta::NameValue(pair) if !matches!(pair.value, Expr::Lit(_)) => Ok(pair.value.clone()),
        _ => {
            let usage = format!("write {option} = Duration::from_secs(30), or another Duration");
            Err(Error::new(meta.span(), usage))
        }
    }
}

fn size(meta: &Meta) -> Result<LitInt> {
    const USAGE: &str = "write size = 1024, the number of bytes";
    match meta {
        Meta::NameValue(MetaNameValue {
            value:
                Expr::Lit(ExprLit {
                    lit: Lit::Int(literal),
                    ..
                }),
            ..
        }) if literal.base10_parse::<u64>().is_ok() => Ok(literal.clone()),
        _ => Err(Error::new(meta.span(), USAGE)),
    }
}

fn enabled(meta: &Meta) -> Result<bool> {
    let value = match meta {
        Meta::NameValue(pair) => boolean(&pair.value),
        Meta::Path(_) | Meta::List(_) => None,
    };
    value.ok_or_else(|| Error::new(meta.span(), "write enabled = true or enabled = false"))
}

fn boolean(expression: &Expr) -> Option<bool> {
    match expression {
        Expr::Lit(ExprLit {
            lit: Lit::Bool(literal),
            ..
        }) => Some(literal.value),
        _ => None,
    }
}
