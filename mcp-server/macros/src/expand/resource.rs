//! The code of `#[resource]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, LitStr, Result};

use super::{
    at, call, completions, component, name, setter, setters, take_injected, value_type, variable,
};
use crate::function::{Errors, Function, last_segment};
use crate::hints::Hints;
use crate::options::Options;
use crate::syntax::Template;

/// Writes a resource.
pub(crate) fn resource(
    function: &Function,
    options: &Options,
    uri: &LitStr,
) -> Result<TokenStream> {
    let template = Template::parse(&uri.value()).map_err(|reason| {
        let message = format!("this is no URI or URI template: {reason}");
        Error::new(uri.span(), message)
    })?;
    check_names(function, uri, &template)?;
    check_unchecked(options, &template)?;
    let has_parameters = template.path_names().chain(template.query_names()).count() > 0;
    if let Some(size) = options.size.as_ref().filter(|_| has_parameters) {
        let message = "what a template stands for has no one size";
        return Err(Error::new(size.span(), message));
    }
    let size = options.size.iter();
    let annotations = options.hints.iter().map(annotations);
    let unchecked = &options.unchecked;
    let ident = &function.item.sig.ident;
    let name = name(function, options);
    let setters = setters(function, options)?;
    let mime_type = setter("with_mime_type", options.mime_type.as_ref());
    let taken = function.arguments().map(|parameter| {
        let (variable, name, ty) = (variable(&parameter.ident), &parameter.name, &parameter.ty);
        let take = if template.query_names().any(|query| query == name) {
            quote!(take_optional)
        } else {
            quote!(take)
        };
        quote_spanned!(at(ty)=> let #variable: #ty = __parameters.#take(#name)?;)
    });
    let take_injected = take_injected(function);
    let completions = completions(function);
    let error = quote_spanned!(at(&function.output)=> ::mcp_server::ResourceError);
    let call = call(function, &error, false);
    let value = value_type(function);
    let declared = optional(options.mime_type.as_ref());
    let result = quote_spanned! {at(&function.output)=>
        __output.result(__value, __request.uri, #declared)
    };
    let implementation = quote! {
        impl ::mcp_server::Resource for #ident {
            fn definition(&self) -> ::mcp_server::ResourceDefinition {
                ::mcp_server::ResourceDefinition::new(#uri, #name) #setters #mime_type
                    #(.with_size(#size))* #(#annotations)* #(.with_unchecked(#unchecked))* #completions
            }

            fn read(
                &self,
                __cx: ::mcp_server::Context,
                __request: ::mcp_server::ResourceRequest,
            ) -> ::mcp_server::BoxFuture<
                '_,
                ::core::result::Result<::mcp_server::ResourceResult, ::mcp_server::ResourceError>,
            > {
                use ::mcp_server::__private::{ReadyContents as _, SerializedContents as _};

                let __component = *self;
                ::mcp_server::__private::boxed(async move {
                    #[allow(unused_mut, reason = "there may be no parameters")]
                    let mut __parameters =
                        ::mcp_server::__private::Parameters::new(__request.parameters);
                    #(#taken)*
                    #take_injected
                    #call
                    let __output = &&::mcp_server::__private::ReadOutput::<#value>::new();
                    #result
                })
            }
        }
    };
    Ok(component(function, "resource", &implementation))
}

/// Checks that the template and the function have the same parameters.
fn check_names(function: &Function, uri: &LitStr, template: &Template) -> Result<()> {
    let mut errors = Errors::default();
    for name in template.path_names().chain(template.query_names()) {
        if !function.arguments().any(|parameter| parameter.name == name) {
            let message = format!("the function has no parameter `{name}`");
            errors.push(uri, message);
        }
    }
    for parameter in function.arguments() {
        let (ident, name) = (&parameter.ident, &parameter.name);
        let is_option = last_segment(&parameter.ty).is_some_and(|segment| segment == "Option");
        if template.path_names().any(|path| path == name) {
            if is_option {
                let message = format!(
                    "`{name}` stands in the path and is always there; take it without Option"
                );
                errors.push(&parameter.ty, message);
            }
        } else if template.query_names().any(|query| query == name) {
            if !is_option {
                let message =
                    format!("`{name}` stands in the query and may be missing; take an Option");
                errors.push(&parameter.ty, message);
            }
        } else {
            let message =
                format!("`{name}` does not stand in the URI; add {{{name}}} or {{?{name}}} to it");
            errors.push(ident, message);
        }
    }
    errors.finish()
}

fn annotations(hints: &Hints) -> TokenStream {
    let audience = hints
        .audience
        .iter()
        .map(|audience| match audience.value().as_str() {
            "user" => quote!(::mcp_server::types::Role::User),
            _ => quote!(::mcp_server::types::Role::Assistant),
        });
    let priority = optional(hints.priority.as_ref());
    let last_modified = optional(hints.last_modified.as_ref());
    quote! {
        .with_annotations(::mcp_server::__private::annotations(
            [#(#audience),*],
            #priority,
            #last_modified,
        ))
    }
}

fn optional(value: Option<&impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

/// Checks that what is left unchecked stands in the template.
fn check_unchecked(options: &Options, template: &Template) -> Result<()> {
    let mut errors = Errors::default();
    for literal in &options.unchecked {
        let unchecked = literal.value();
        let mut names = template.path_names().chain(template.query_names());
        if !names.any(|name| name == unchecked) {
            errors.push(literal, format!("the URI has no parameter `{unchecked}`"));
        }
    }
    errors.finish()
}
