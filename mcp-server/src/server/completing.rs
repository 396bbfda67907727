//! Answering `completion/complete`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use rmcp::ErrorData;

use super::components::Components;
use super::refusals::{insufficient_scope, quoted, unknown};
use super::registry::{Completing, Selection};
use crate::error::chain;
use crate::types::{CompleteRequestParams, CompleteResult, CompletionInfo, Reference};
use crate::{Complete, CompletionRequest, Context};

/// Finds what suggests values for the argument that `params` are about, if anything does.
///
/// # Errors
///
/// When there is no such component, or it is not for this caller.
pub(crate) fn find(
    components: &Components,
    params: &CompleteRequestParams,
    selection: Selection<'_>,
) -> Result<Option<Arc<dyn Complete>>, ErrorData> {
    let argument = params.argument.name.as_str();
    let (kind, name, argument, found) = match &params.r#ref {
        Reference::Prompt(prompt) => {
            let found = components.prompt(&prompt.name, selection);
            let found = found.map(|prompt| Completing {
                completions: prompt.details.clone(),
                scopes: prompt.scopes.clone(),
            });
            ("prompt", &prompt.name, argument.to_owned(), found)
        }
        Reference::Resource(template) => {
            let found = components.completions_of_resource(&template.uri, selection);
            ("resource", &template.uri, argument.replace('-', "_"), found)
        }
        _ => return Ok(None),
    };
    let found = found.ok_or_else(|| unknown(kind, name, selection.wanted))?;
    if !selection.caller.may(&found.scopes) {
        return Err(insufficient_scope(name, &found.scopes));
    }
    Ok(found.completions.get(&argument).map(Arc::clone))
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
