//! The code of `#[prompt]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::Result;

use super::{at, call, completions, component, name, setters, take_arguments, take_injected};
use crate::function::Function;
use crate::options::Options;

/// Writes a prompt.
pub(crate) fn prompt(function: &Function, options: &Options) -> Result<TokenStream> {
    let ident = &function.item.sig.ident;
    let name = name(function, options);
    let setters = setters(function, options)?;
    let arguments = function.arguments().map(|parameter| {
        let (name, ty) = (&parameter.name, &parameter.ty);
        let description = match &parameter.description {
            Some(description) => quote!(::core::option::Option::Some(#description)),
            None => quote!(::core::option::Option::None),
        };
        let has_default = parameter.default.is_some();
        quote_spanned! {at(ty)=>
            .with_argument(::mcp_server::__private::prompt_argument::<#ty>(
                #name,
                #description,
                #has_default,
            ))
        }
    });
    let completions = completions(function);
    let error = quote_spanned!(at(&function.output)=> ::mcp_server::PromptError);
    let schema = quote!(::mcp_server::types::JsonObject::new());
    let take_arguments = take_arguments(function, "take_text", &error, &schema);
    let take_injected = take_injected(function);
    let call = call(function, &error, false);
    let result = quote_spanned! {at(&function.output)=>
        <::mcp_server::PromptResult as ::core::convert::From<_>>::from(__value)
    };
    let implementation = quote! {
        impl ::mcp_server::Prompt for #ident {
            fn definition(&self) -> ::mcp_server::PromptDefinition {
                ::mcp_server::PromptDefinition::new(#name) #setters #(#arguments)* #completions
            }

            fn render(
                &self,
                __cx: ::mcp_server::Context,
                __arguments: ::mcp_server::types::JsonObject,
            ) -> ::mcp_server::BoxFuture<
                '_,
                ::core::result::Result<::mcp_server::PromptResult, ::mcp_server::PromptError>,
            > {
                let __component = *self;
                ::mcp_server::__private::boxed(async move {
                    #take_arguments
                    #take_injected
                    #call
                    ::core::result::Result::Ok(#result)
                })
            }
        }
    };
    Ok(component(function, "prompt", &implementation))
}
