//! The code that the attributes write.
//!
//! Names of generated variables begin with two underscores: a value of the user's, such as another
//! tool, cannot be shadowed by a variable of its name.

mod prompt;
mod resource;
mod tool;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, LitStr, Result, Type};

use crate::function::Function;
use crate::options::Options;

pub(crate) use prompt::prompt;
pub(crate) use resource::resource;
pub(crate) use tool::tool;

/// Writes the value that takes the function's place, and `implementation` after it.
fn component(function: &Function, kind: &str, implementation: &TokenStream) -> TokenStream {
    let Function {
        item,
        visibility,
        outer,
        conditions,
        ..
    } = function;
    let ident = &item.sig.ident;
    let (asyncness, output) = (&item.sig.asyncness, &item.sig.output);
    let types = function.parameters.iter().map(|parameter| &parameter.ty);
    // A parameter cannot have the name of a unit struct; that of the function inside it can.
    let arguments: Vec<_> = function
        .parameters
        .iter()
        .map(|parameter| match &parameter.ident {
            same if same == ident => variable(same),
            other => other.clone(),
        })
        .collect();
    let wait = wait(function);
    let doc = format!("Calls the function behind the {kind}, without a server.");
    quote! {
        #(#outer)*
        #[allow(non_camel_case_types, reason = "it is named like the function it stands for")]
        #[derive(Clone, Copy, Debug)]
        #visibility struct #ident;

        #(#conditions)*
        #[allow(deprecated, reason = "the use of a deprecated component is reported where it is")]
        impl #ident {
            #[doc = #doc]
            #[allow(
                clippy::missing_const_for_fn,
                clippy::needless_pass_by_value,
                clippy::too_many_arguments,
                clippy::unused_async,
                reason = "arguments are owned, and async says which thread it runs on"
            )]
            #visibility #asyncness fn call(self, #(#arguments: #types),*) #output {
                #item
                #ident(#(#arguments),*) #wait
            }
        }

        #(#conditions)*
        #[allow(deprecated, reason = "the use of a deprecated component is reported where it is")]
        #implementation
    }
}

fn wait(function: &Function) -> Option<TokenStream> {
    function.is_async().then(|| quote!(.await))
}

/// Returns the span of `place` for generated code: an error points there, and lints stay silent.
fn at(place: &impl Spanned) -> Span {
    place.span().resolved_at(Span::call_site())
}

/// Returns the variable that holds the parameter `ident`.
fn variable(ident: &Ident) -> Ident {
    format_ident!("__argument_{}", ident)
}

/// Writes the setters that all definitions have, for the options that are given.
fn setters(function: &Function, options: &Options) -> Result<TokenStream> {
    let title = setter("with_title", options.title.as_ref());
    let description = match &options.description {
        Some(description) => Some(description.value()),
        None => function.description()?,
    };
    let description = description.map(|text| quote!(.with_description(#text)));
    let version = setter("with_version", options.version.as_ref());
    let tags = &options.tags;
    let tags = (!tags.is_empty()).then(|| quote!(.with_tags([#(#tags),*])));
    let scopes = &options.scopes;
    let scopes = (!scopes.is_empty()).then(|| quote!(.with_scopes([#(#scopes),*])));
    let icons = icons(options);
    let meta = meta(options);
    let injected = function.injected().map(|parameter| {
        let ty = &parameter.ty;
        quote_spanned!(at(ty)=> .with_injected::<#ty>())
    });
    Ok(quote!(#title #version #description #tags #scopes #icons #meta #(#injected)*))
}

fn icons(options: &Options) -> Option<TokenStream> {
    let icons = options.icons.iter().map(|icon| match icon {
        Expr::Lit(address) => quote!(::mcp_server::types::Icon::new(#address)),
        icon => quote!(#icon),
    });
    (!options.icons.is_empty()).then(|| quote!(.with_icons([#(#icons),*])))
}

fn meta(options: &Options) -> Option<TokenStream> {
    let meta = options.meta.iter().map(|(key, value)| {
        let value = quote_spanned! {at(value)=>
            <::mcp_server::__private::Value as ::core::convert::From<_>>::from(#value)
        };
        quote!((#key, #value))
    });
    (!options.meta.is_empty())
        .then(|| quote!(.with_meta(::mcp_server::__private::meta([#(#meta),*]))))
}

/// Writes the setters of what suggests values for parameters.
fn completions(function: &Function) -> TokenStream {
    let setters = function.arguments().filter_map(|parameter| {
        let (name, source) = (&parameter.name, parameter.completion.as_ref()?);
        Some(quote!(.with_completion(#name, #source)))
    });
    quote!(#(#setters)*)
}

fn setter(method: &str, value: Option<&LitStr>) -> Option<TokenStream> {
    let method = format_ident!("{method}");
    value.map(|value| quote!(.#method(#value)))
}

/// Returns the name of the component.
fn name(function: &Function, options: &Options) -> String {
    let given = options.name.as_ref().map(LitStr::value);
    given.unwrap_or_else(|| function.name())
}

/// Writes the taking of `arguments` out of `__arguments` by `method`, or the return of an `error`
/// whose text is the complaint by `schema`.
fn take_arguments(
    function: &Function,
    method: &str,
    error: &TokenStream,
    schema: &TokenStream,
) -> TokenStream {
    let method = format_ident!("{method}");
    let names = function.arguments().map(|parameter| &parameter.name);
    let variables: Vec<_> = function
        .arguments()
        .map(|parameter| variable(&parameter.ident))
        .collect();
    let taken = function.arguments().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let take = quote_spanned!(at(ty)=> __arguments.#method::<#ty>(#name));
        match &parameter.default {
            None => take,
            Some(default) => quote! {
                if __arguments.has(#name) { #take } else { ::core::option::Option::Some(#default) }
            },
        }
    });
    quote! {
        let mut __arguments = ::mcp_server::__private::Arguments::new(__arguments, &[#(#names),*]);
        #(let #variables = #taken;)*
        let (#(::core::option::Option::Some(#variables),)* true) =
            (#(#variables,)* __arguments.are_valid())
        else {
            return ::core::result::Result::Err(#error::invalid_arguments(__arguments.complaint(&#schema)));
        };
    }
}

/// Writes the taking of the parameters that the context fills.
fn take_injected(function: &Function) -> TokenStream {
    let injected = function.injected().map(|parameter| {
        let (variable, ty) = (variable(&parameter.ident), &parameter.ty);
        quote_spanned! {at(ty)=>
            let #variable = <#ty as ::mcp_server::FromContext>::from_context(&__cx)?;
        }
    });
    quote!(#(#injected)*)
}

/// Writes the call of the function, whose value becomes `__value`; an error of its own becomes an
/// `error`. A plain function gets a thread of its own unless it is `inline`.
fn call(function: &Function, error: &TokenStream, inline: bool) -> TokenStream {
    let variables = function
        .parameters
        .iter()
        .map(|parameter| variable(&parameter.ident));
    let call = if function.is_async() {
        quote!(__component.call(#(#variables),*).await)
    } else if inline {
        quote!(__component.call(#(#variables),*))
    } else {
        quote! {
            ::mcp_server::__private::blocking(move || __component.call(#(#variables),*)).await?
        }
    };
    let unwrapped = function.is_result.then(|| {
        quote_spanned! {at(&function.output)=>
            let __value = match __value {
                ::core::result::Result::Ok(__value) => __value,
                ::core::result::Result::Err(__error) => {
                    return ::core::result::Result::Err(#error::from(__error));
                }
            };
        }
    });
    quote! {
        let __value = #call;
        #unwrapped
    }
}

/// Writes the type of the function's value, out of its `Result`.
fn value_type(function: &Function) -> TokenStream {
    let output: &Type = &function.output;
    if function.is_result {
        quote_spanned!(at(output)=> <#output as ::mcp_server::__private::Fallible>::Ok)
    } else {
        quote!(#output)
    }
}
