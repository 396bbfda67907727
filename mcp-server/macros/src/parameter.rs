//! [`Parameter`]: one parameter of a function, and its attributes.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, ExprPath, Ident, LitStr, Result, Token, Type};

use crate::docs;
use crate::kind::Kind;

/// The lint levels, which stay on the function.
const LEVELS: [&str; 5] = ["allow", "expect", "warn", "deny", "forbid"];

/// The options of `#[schemars(..)]` that would make the schema differ from what is accepted.
const NOT_FOR_SCHEMAS: [&str; 9] = [
    "rename",
    "default",
    "skip",
    "skip_serializing",
    "skip_deserializing",
    "skip_serializing_if",
    "flatten",
    "required",
    "crate",
];

/// One parameter of a function.
pub(crate) struct Parameter {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// Whether the context fills it, and no client.
    pub(crate) injected: bool,
    /// What clients call it.
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The expression that fills it when no client does.
    pub(crate) default: Option<TokenStream>,
    /// The expression that suggests values for it.
    pub(crate) completion: Option<TokenStream>,
    /// Its `#[serde(..)]` and `#[schemars(..)]`, which its schema is made from too.
    pub(crate) schema: Vec<Attribute>,
}

impl Parameter {
    /// Reads a parameter, and removes from its `attributes` what only we understand.
    ///
    /// # Errors
    ///
    /// At the first attribute that we don't.
    pub(crate) fn new(
        kind: Kind,
        ident: Ident,
        ty: Type,
        injected: bool,
        attributes: &mut Vec<Attribute>,
    ) -> Result<Self> {
        let mut parameter = Self {
            name: ident.unraw().to_string(),
            description: docs::text_of(attributes)?,
            default: None,
            completion: None,
            schema: Vec::new(),
            ident,
            ty,
            injected,
        };
        let (levels, others): (Vec<_>, Vec<_>) = attributes
            .drain(..)
            .partition(|attribute| LEVELS.iter().any(|level| attribute.path().is_ident(level)));
        *attributes = levels;
        for attribute in others {
            parameter.read(kind, attribute)?;
        }
        Ok(parameter)
    }

    fn read(&mut self, kind: Kind, attribute: Attribute) -> Result<()> {
        let path = attribute.path();
        if path.is_ident("doc") {
            return Ok(());
        }
        if path.is_ident("complete") && kind != Kind::Tool && !self.injected {
            self.completion = Some(completion(&attribute)?);
            return Ok(());
        }
        let serde = path.is_ident("serde") && kind != Kind::Resource;
        let schemars = path.is_ident("schemars") && kind == Kind::Tool;
        if self.injected || !(serde || schemars) {
            let message = match (self.injected, kind) {
                (true, _) => "a parameter that no client fills has no attributes",
                (_, Kind::Tool) => {
                    "a parameter has doc comments, serde and schemars attributes only"
                }
                (_, Kind::Prompt) => {
                    "a parameter has doc comments, serde and complete attributes only"
                }
                (_, Kind::Resource) => "a parameter has doc comments and a complete attribute only",
            };
            return Err(Error::new(attribute.span(), message));
        }
        if serde {
            attribute.parse_nested_meta(|meta| self.read_serde(&meta))?;
        } else {
            attribute.parse_nested_meta(|meta| check_schemars(&meta))?;
        }
        self.schema.push(attribute);
        Ok(())
    }

    fn read_serde(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let ty = &self.ty;
        if meta.path.is_ident("rename") {
            self.name = meta.value()?.parse::<LitStr>()?.value();
        } else if meta.path.is_ident("default") {
            self.default = Some(if meta.input.peek(syn::Token![=]) {
                let function = meta.value()?.parse::<LitStr>()?.parse::<ExprPath>()?;
                quote!(#function())
            } else {
                quote!(<#ty as ::core::default::Default>::default())
            });
        } else {
            return Err(meta.error(
                "only `default`, `default = \"..\"` and `rename = \"..\"` work on a parameter; \
                 put the rest on a type of your own",
            ));
        }
        Ok(())
    }
}

/// Reads `#[complete(function)]` or `#[complete("one", "two")]`.
fn completion(attribute: &Attribute) -> Result<TokenStream> {
    let usage = "write #[complete(function)], or the values: #[complete(\"one\", \"two\")]";
    if let Ok(function) = attribute.parse_args::<ExprPath>() {
        return Ok(quote!(#function));
    }
    let values = attribute
        .parse_args_with(Punctuated::<LitStr, Token![,]>::parse_terminated)
        .ok()
        .filter(|values| !values.is_empty())
        .ok_or_else(|| Error::new(attribute.span(), usage))?;
    Ok(quote!(::mcp_server::Choices::new([#values])))
}

fn check_schemars(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if NOT_FOR_SCHEMAS.iter().any(|name| meta.path.is_ident(name)) {
        return Err(meta.error("this would make the schema differ from what is accepted"));
    }
    if meta.input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    } else if meta.input.peek(syn::Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    }
    Ok(())
}
