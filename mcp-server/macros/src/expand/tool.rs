//! The code of `#[tool]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Result};

use super::{at, call, component, name, setters, take_arguments, take_injected, value_type};
use crate::function::Function;
use crate::options::Options;

/// Writes a tool.
pub(crate) fn tool(function: &Function, options: &Options) -> Result<TokenStream> {
    let ident = &function.item.sig.ident;
    let name = name(function, options);
    let setters = setters(function, options)?;
    check_inline(function, options)?;
    let annotations = annotations(options);
    let others = others(options);
    let fields = function.arguments().map(|parameter| {
        let (ident, ty, schema) = (&parameter.ident, &parameter.ty, &parameter.schema);
        let doc = parameter.description.iter();
        quote!(#(#[doc = #doc])* #(#schema)* #ident: #ty)
    });
    let error = quote_spanned!(at(&function.output)=> ::mcp_server::ToolError);
    let schema = quote!(::mcp_server::Tool::definition(&__component).input_schema);
    let take_arguments = take_arguments(function, "take", &error, &schema);
    let take_injected = take_injected(function);
    let call = call(function, &error, options.inline.is_some());
    let value = value_type(function);
    let span = at(&function.output);
    let shape = quote_spanned!(span=> __output.shape());
    let described = match &options.output_schema {
        Some(ty) => {
            quote_spanned!(at(ty)=> ::mcp_server::__private::OutputShape::of::<#ty>())
        }
        None => shape.clone(),
    };
    let result = quote_spanned!(span=> __output.result(__value, __shape));
    let implementation = quote! {
        impl ::mcp_server::Tool for #ident {
            fn definition(&self) -> ::mcp_server::ToolDefinition {
                use ::mcp_server::__private::{Described as _, Ready as _, Serialized as _};

                #[derive(::mcp_server::__private::schemars::JsonSchema)]
                #[schemars(crate = "::mcp_server::__private::schemars")]
                #[allow(dead_code, non_snake_case, reason = "only its schema is of interest")]
                struct __Arguments {
                    #(#fields,)*
                }

                let __output = &&&::mcp_server::__private::ToolOutput::<#value>::new();
                let __definition = ::mcp_server::ToolDefinition::new(#name)
                    #setters
                    #annotations
                    #others
                    .with_input_schema(::mcp_server::__private::input_schema::<__Arguments>());
                match #described.schema() {
                    ::core::option::Option::Some(__schema) => __definition
                        .with_output_schema(::core::clone::Clone::clone(__schema)),
                    ::core::option::Option::None => __definition,
                }
            }

            fn run(
                &self,
                __cx: ::mcp_server::Context,
                __arguments: ::mcp_server::types::JsonObject,
            ) -> ::mcp_server::BoxFuture<
                '_,
                ::core::result::Result<::mcp_server::ToolResult, ::mcp_server::ToolError>,
            > {
                use ::mcp_server::__private::{Described as _, Ready as _, Serialized as _};

                static __SHAPE: ::std::sync::OnceLock<::mcp_server::__private::OutputShape> =
                    ::std::sync::OnceLock::new();
                let __component = *self;
                ::mcp_server::__private::boxed(async move {
                    #take_arguments
                    #take_injected
                    #call
                    let __output = &&&::mcp_server::__private::ToolOutput::<#value>::new();
                    let __shape = __SHAPE.get_or_init(|| #shape);
                    #result
                })
            }
        }
    };
    Ok(component(function, "tool", &implementation))
}

fn annotations(options: &Options) -> Option<TokenStream> {
    let given = &options.annotations;
    let hints = given.iter().map(|(name, value)| {
        let method = format_ident!("{name}");
        quote!(.#method(#value))
    });
    (!given.is_empty())
        .then(|| quote!(.with_annotations(::mcp_server::types::ToolAnnotations::new() #(#hints)*)))
}

/// Checks that an inline function is a plain one without a timeout, which could not cut it short.
fn check_inline(function: &Function, options: &Options) -> Result<()> {
    let Some(inline) = &options.inline else {
        return Ok(());
    };
    let message = if function.is_async() {
        "an async function needs no `inline`: it runs where the call is"
    } else if options.timeout.is_some() {
        "a timeout cannot cut short an inline function; remove one of the two"
    } else {
        return Ok(());
    };
    Err(Error::new(inline.span(), message))
}

fn others(options: &Options) -> TokenStream {
    let timeout = options.timeout.iter();
    let cache = options.cache.iter();
    let enabled = options.enabled.iter();
    let inline = options.inline.iter().map(|_| quote!(.with_inline()));
    let task = options
        .task
        .iter()
        .map(|options| quote!(.with_task(::mcp_server::TaskOptions::new() #(.#options())*)));
    quote! {
        #(#task)*
        #(.with_timeout(#timeout))*
        #(.with_cache(#cache))*
        #(.with_enabled(#enabled))*
        #(#inline)*
    }
}
