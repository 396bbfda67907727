//! The attributes `#[tool]`, `#[resource]` and `#[prompt]` of the crate `mcp-server`, which
//! documents and re-exports them.

#![allow(
    missing_docs,
    reason = "the attributes are documented where they are re-exported"
)]

mod docs;
mod expand;
mod function;
mod hints;
mod kind;
mod options;
mod parameter;
#[allow(
    dead_code,
    reason = "it is shared with the server, which reads all of it"
)]
mod syntax;

use proc_macro::TokenStream;
use syn::{ItemFn, Result};

use crate::function::Function;
use crate::kind::Kind;
use crate::options::Options;

#[proc_macro_attribute]
pub fn tool(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(Kind::Tool, options, function)
}

#[proc_macro_attribute]
pub fn resource(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(Kind::Resource, options, function)
}

#[proc_macro_attribute]
pub fn prompt(options: TokenStream, function: TokenStream) -> TokenStream {
    expand(Kind::Prompt, options, function)
}

fn expand(kind: Kind, options: TokenStream, function: TokenStream) -> TokenStream {
    let expanded = || -> Result<_> {
        let item: ItemFn = syn::parse(function)?;
        let options = Options::parse(kind, options.into())?;
        let function = Function::parse(kind, item)?;
        match (kind, &options.uri) {
            (Kind::Prompt, _) => expand::prompt(&function, &options),
            (_, Some(uri)) => expand::resource(&function, &options, uri),
            (_, None) => expand::tool(&function, &options),
        }
    };
    expanded()
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
