//! [`Function`]: the function under an attribute, taken apart.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, FnArg, Ident, ItemFn, Pat, PatType, Path, Result, ReturnType, Safety, Type,
    Visibility, parse_quote,
};

use crate::docs;
use crate::kind::Kind;
use crate::parameter::Parameter;

/// The function under an attribute, taken apart.
pub(crate) struct Function {
    /// The function alone: private, and without the attributes that are ours.
    pub(crate) item: ItemFn,
    pub(crate) visibility: Visibility,
    /// The doc comments and what else belongs to the value that takes the function's place.
    pub(crate) outer: Vec<Attribute>,
    /// The `#[cfg(..)]` of the function.
    pub(crate) conditions: Vec<Attribute>,
    pub(crate) parameters: Vec<Parameter>,
    /// The type that is returned; that inside of a `Result` too.
    pub(crate) output: Type,
    pub(crate) is_result: bool,
}

impl Function {
    /// Takes `item` apart.
    ///
    /// # Errors
    ///
    /// All that a component's function cannot have, each at its span.
    pub(crate) fn parse(kind: Kind, mut item: ItemFn) -> Result<Self> {
        let mut errors = Errors::default();
        check_signature(&item, &mut errors);
        let mut parameters = Vec::new();
        for input in &mut item.sig.inputs {
            match input {
                FnArg::Receiver(receiver) => errors.push(
                    receiver,
                    "a component is a free function; take State<..> in place of self",
                ),
                FnArg::Typed(input) => match parameter(kind, input) {
                    Ok(parameter) => parameters.push(parameter),
                    Err(error) => errors.add(error),
                },
            }
        }
        for (index, parameter) in parameters.iter().enumerate() {
            let mut before = parameters[..index].iter();
            if !parameter.injected && before.any(|other| other.name == parameter.name) {
                errors.push(&parameter.ident, "another parameter has this name");
            }
        }
        let output: Type = match &item.sig.output {
            ReturnType::Default => parse_quote!(()),
            ReturnType::Type(_, ty) => (**ty).clone(),
        };
        if let Some(token) = find(output.to_token_stream(), "impl") {
            errors.push(
                &token,
                "name the type that is returned; its schema is needed",
            );
        }
        errors.finish()?;
        let attributes = std::mem::take(&mut item.attrs);
        let (outer, inner) = attributes.into_iter().partition(is_outer);
        item.attrs = inner;
        Ok(Self {
            visibility: std::mem::replace(&mut item.vis, Visibility::Inherited),
            conditions: conditions(&outer),
            outer,
            parameters,
            is_result: last_segment(&output).is_some_and(|segment| segment == "Result"),
            output,
            item,
        })
    }

    /// Returns the name of the component.
    pub(crate) fn name(&self) -> String {
        self.item.sig.ident.unraw().to_string()
    }

    /// Returns the text of the function's doc comment.
    ///
    /// # Errors
    ///
    /// When it is no literal.
    pub(crate) fn description(&self) -> Result<Option<String>> {
        docs::text_of(&self.outer)
    }

    pub(crate) const fn is_async(&self) -> bool {
        self.item.sig.asyncness.is_some()
    }

    /// Returns the parameters that clients fill.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| !parameter.injected)
    }

    /// Returns the parameters that the context fills.
    pub(crate) fn injected(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| parameter.injected)
    }
}

/// Several errors, reported as one.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, place: &impl Spanned, message: impl std::fmt::Display) {
        self.add(Error::new(place.span(), message));
    }

    pub(crate) fn add(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

fn check_signature(item: &ItemFn, errors: &mut Errors) {
    let signature = &item.sig;
    if !signature.generics.params.is_empty() {
        errors.push(
            &signature.generics,
            "a component has no generic parameters; name the types it takes",
        );
    }
    if let Some(clause) = &signature.generics.where_clause {
        errors.push(clause, "a component has no where clause");
    }
    if let Safety::Unsafe(token) = &signature.safety {
        errors.push(
            token,
            "a component is called by clients and cannot be unsafe",
        );
    }
    if let Some(abi) = &signature.abi {
        errors.push(abi, "a component is a plain Rust function");
    }
    if let Some(variadic) = &signature.variadic {
        errors.push(variadic, "take a Vec in place of variadic arguments");
    }
}

/// Reads a parameter, and removes from it what only we understand.
fn parameter(kind: Kind, input: &mut PatType) -> Result<Parameter> {
    let Pat::Ident(pattern) = &*input.pat else {
        let message = "name the parameter; take a pattern apart in the function";
        return Err(Error::new(input.pat.span(), message));
    };
    if pattern.by_ref.is_some() || pattern.subpat.is_some() {
        let message = "write a plain name; take a pattern apart in the function";
        return Err(Error::new(input.pat.span(), message));
    }
    check_type(&input.ty)?;
    let injected =
        last_segment(&input.ty).is_some_and(|segment| segment == "Context" || segment == "State");
    Parameter::new(
        kind,
        pattern.ident.clone(),
        (*input.ty).clone(),
        injected,
        &mut input.attrs,
    )
}

/// Checks that clients, or the context, can give a value of type `ty`.
fn check_type(ty: &Type) -> Result<()> {
    if let Some(token) = find(ty.to_token_stream(), "impl") {
        let message = "name the type of the parameter; its schema is needed";
        return Err(Error::new(token.span(), message));
    }
    if let Some(token) = find(ty.to_token_stream(), "&") {
        let injected = match ty {
            Type::Reference(reference) => last_segment(&reference.elem),
            _ => None,
        };
        let message = match injected.map(ToString::to_string).as_deref() {
            Some(name @ ("Context" | "State")) => format!("take {name} by value; it is cheap"),
            _ => "take an owned type, such as String in place of &str".to_owned(),
        };
        return Err(Error::new(token.span(), message));
    }
    Ok(())
}

/// Returns the first token of `tokens`, at any depth, that is written as `text`.
fn find(tokens: TokenStream, text: &str) -> Option<TokenTree> {
    tokens.into_iter().find_map(|token| match token {
        TokenTree::Group(group) => find(group.stream(), text),
        token => (token.to_string() == text).then_some(token),
    })
}

fn path_of(ty: &Type) -> Option<&Path> {
    match ty {
        Type::Path(ty) => Some(&ty.path),
        Type::Group(group) => path_of(&group.elem),
        Type::Paren(paren) => path_of(&paren.elem),
        _ => None,
    }
}

/// Returns the last name of the path that `ty` is.
pub(crate) fn last_segment(ty: &Type) -> Option<&Ident> {
    Some(&path_of(ty)?.segments.last()?.ident)
}

fn is_outer(attribute: &Attribute) -> bool {
    ["doc", "cfg", "deprecated"]
        .iter()
        .any(|name| attribute.path().is_ident(name))
}

fn conditions(attributes: &[Attribute]) -> Vec<Attribute> {
    let conditions = attributes.iter();
    conditions
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .cloned()
        .collect()
}
