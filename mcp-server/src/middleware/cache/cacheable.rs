//! [`Cacheable`]: messages whose answers can be cached.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::Key;
use crate::middleware::{
    Answer, ListPrompts, ListResourceTemplates, ListResources, ListTools, Params,
};
use crate::types::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, GetPromptRequestParams,
    GetPromptResponse, GetPromptResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, ReadResourceRequestParams, ReadResourceResponse,
    ReadResourceResult,
};

/// A message whose answer can be cached.
pub(super) trait Cacheable: Params<Answer: Clone + Sync + Into<Answer>> + Sync {
    /// What is kept of the answer.
    type Result: Serialize + DeserializeOwned + Send + Sync;

    /// Adds what the message says, as far as its answer depends on that.
    fn identify(&self, key: &mut Key);

    /// Returns what is kept of an answer; `None` when it is not to be kept.
    fn result(answer: &Self::Answer) -> Option<&Self::Result>;

    fn answer_with(result: Self::Result) -> Self::Answer;

    /// Tells the client for how long it may keep the answer; with `None` one that is not told such.
    fn hint(answer: &mut Self::Answer, ttl_ms: Option<u64>);
}

impl Cacheable for CallToolRequestParams {
    type Result = CallToolResult;

    fn identify(&self, key: &mut Key) {
        key.text(&self.name);
        key.members(self.arguments.as_ref());
    }

    fn result(answer: &CallToolResponse) -> Option<&CallToolResult> {
        match answer {
            CallToolResponse::Complete(result) if result.is_error != Some(true) => Some(result),
            _ => None,
        }
    }

    fn answer_with(result: CallToolResult) -> CallToolResponse {
        CallToolResponse::Complete(result)
    }

    fn hint(_answer: &mut CallToolResponse, _ttl_ms: Option<u64>) {}
}

impl Cacheable for ReadResourceRequestParams {
    type Result = ReadResourceResult;

    fn identify(&self, key: &mut Key) {
        key.text(&self.uri);
    }

    fn result(answer: &ReadResourceResponse) -> Option<&ReadResourceResult> {
        match answer {
            ReadResourceResponse::Complete(result) => Some(result),
            _ => None,
        }
    }

    fn answer_with(result: ReadResourceResult) -> ReadResourceResponse {
        ReadResourceResponse::Complete(result)
    }

    fn hint(answer: &mut ReadResourceResponse, ttl_ms: Option<u64>) {
        if let ReadResourceResponse::Complete(result) = answer
            && result.ttl_ms.is_none()
        {
            result.ttl_ms = ttl_ms;
            result.cache_scope = ttl_ms.map(|_| CacheScope::Private);
        }
    }
}

impl Cacheable for GetPromptRequestParams {
    type Result = GetPromptResult;

    fn identify(&self, key: &mut Key) {
        key.text(&self.name);
        key.members(self.arguments.as_ref());
    }

    fn result(answer: &GetPromptResponse) -> Option<&GetPromptResult> {
        match answer {
            GetPromptResponse::Complete(result) => Some(result),
            _ => None,
        }
    }

    fn answer_with(result: GetPromptResult) -> GetPromptResponse {
        GetPromptResponse::Complete(result)
    }

    fn hint(_answer: &mut GetPromptResponse, _ttl_ms: Option<u64>) {}
}

macro_rules! lists {
    ($($params:ident -> $result:ident,)*) => {$(
        impl Cacheable for $params {
            type Result = $result;

            fn identify(&self, key: &mut Key) {
                key.text(self.cursor.as_deref().unwrap_or_default());
            }

            fn result(answer: &$result) -> Option<&$result> {
                Some(answer)
            }

            fn answer_with(result: $result) -> $result {
                result
            }

            // `list_cache` has done so.
            fn hint(_answer: &mut $result, _ttl_ms: Option<u64>) {}
        }
    )*};
}

lists!(
    ListTools -> ListToolsResult,
    ListResources -> ListResourcesResult,
    ListResourceTemplates -> ListResourceTemplatesResult,
    ListPrompts -> ListPromptsResult,
);
