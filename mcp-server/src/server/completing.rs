//! Answering `completion/complete`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use rmcp::ErrorData;

use super::components::Components;
use super::refusals::quoted;
use super::registry::Completed;
use crate::error::chain;
use crate::types::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};
use crate::{Complete, CompletionRequest, Context};

/// Finds what suggests values for the argument that `params` are about, if anything does.
///
/// # Errors
///
/// When there is no such component.
pub(crate) fn find(
    components: &Components,
    params: &CompleteRequestParams,
) -> Result<Option<Arc<dyn Complete>>, ErrorData> {
    let argument = params.argument.name.as_str();
    match &params.r#ref {
        Reference::Prompt(prompt) => {
            if components.prompt(&prompt.name).is_none() {
                let message = format!("Unknown prompt: {}", quoted(&prompt.name));
                return Err(ErrorData::invalid_params(message, None));
            }
            Ok(components.completion(&Completed::Prompt(prompt.name.clone()), argument))
        }
        Reference::Resource(template) => {
            if !components.has_resource(&template.uri) {
                let message = format!("Unknown resource: {}", quoted(&template.uri));
                return Err(ErrorData::invalid_params(message, None));
            }
            let completed = Completed::Template(template.uri.clone());
            Ok(components.completion(&completed, &argument.replace('-', "_")))
        }
        _ => Ok(None),
    }
}

/// Asks `source` for values, and makes the answer of them. A panic is an error to mask.
pub(crate) async fn complete(
    source: &dyn Complete,
    cx: Context,
    params: CompleteRequestParams,
) -> Result<CompleteResult, ErrorData> {
    let others = params.context.and_then(|context| context.arguments);
    let request = CompletionRequest::new(params.argument.name, params.argument.value)
        .with_others(others.unwrap_or_default().into_iter().collect());
    let argument = request.argument.clone();
    let suggested = AssertUnwindSafe(async { source.complete(cx, request).await })
        .catch_unwind()
        .await
        .unwrap_or_else(|_payload| Err("it panicked".into()));
    let mut values = suggested.map_err(|error| {
        let message = format!("Error completing {}", quoted(&argument));
        tracing::error!(reason = chain(&*error), "{message}");
        ErrorData::internal_error(message, None)
    })?;
    let total = values.len();
    values.truncate(CompletionInfo::MAX_VALUES);
    let mut info = CompletionInfo::default();
    info.has_more = Some(values.len() < total);
    info.total = u32::try_from(total).ok();
    info.values = values;
    Ok(CompleteResult::new(info))
}
