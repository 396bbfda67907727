//! [`Sample`]: a question to the client's model.
#![expect(
    deprecated,
    reason = "sampling works until the protocol drops it (SEP-2577)"
)]

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;

use super::{AskError, Needed};
use crate::Context;
use crate::types::{
    CreateMessageRequest, CreateMessageRequestParams, CreateMessageResult, InputRequest,
    ModelPreferences, SamplingMessage, SamplingMessageContentBlock, Tool, ToolChoice,
};

/// How long an answer may be by default, in tokens.
const MAX_TOKENS: u32 = 1024;

/// A question to the client's model, asked when it is awaited. Made by [`Context::sample`].
#[must_use = "nothing is asked before it is awaited"]
#[derive(Debug)]
pub struct Sample<'a> {
    cx: &'a Context,
    params: CreateMessageRequestParams,
    key: Option<String>,
}

impl<'a> Sample<'a> {
    pub(crate) fn new(cx: &'a Context, messages: Vec<SamplingMessage>) -> Self {
        Self {
            cx,
            params: CreateMessageRequestParams::new(messages, MAX_TOKENS),
            key: None,
        }
    }

    /// Adds something that the user says.
    pub fn user(mut self, text: impl Into<String>) -> Self {
        self.params.messages.push(SamplingMessage::user_text(text));
        self
    }

    /// Adds something that the model has said.
    pub fn assistant(mut self, text: impl Into<String>) -> Self {
        let message = SamplingMessage::assistant_text(text);
        self.params.messages.push(message);
        self
    }

    /// Adds any message, such as the use of a tool and its result.
    pub fn message(mut self, message: SamplingMessage) -> Self {
        self.params.messages.push(message);
        self
    }

    /// Tells the model who it is. Default: nothing.
    pub fn system_prompt(mut self, prompt: impl Into<String>) -> Self {
        self.params.system_prompt = Some(prompt.into());
        self
    }

    /// Sets how long the answer may be, in tokens. Default: 1024.
    pub const fn max_tokens(mut self, tokens: u32) -> Self {
        self.params.max_tokens = tokens;
        self
    }

    /// Sets how random the answer is, from 0 to 1. Default: the client's.
    pub const fn temperature(mut self, temperature: f32) -> Self {
        self.params.temperature = Some(temperature);
        self
    }

    /// Sets the texts at which the model stops. Default: none.
    pub fn stop_sequences(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.params.stop_sequences = Some(texts.into_iter().map(Into::into).collect());
        self
    }

    /// Says which model would be right. Default: nothing.
    pub fn model_preferences(mut self, preferences: ModelPreferences) -> Self {
        self.params.model_preferences = Some(preferences);
        self
    }

    /// Offers tools to the model, which this server carries out: the answer then has the uses of
    /// tools, whose results go into the next question. Default: none.
    pub fn tools(mut self, tools: Vec<Tool>) -> Self {
        self.params.tools = Some(tools);
        self
    }

    /// Says whether the model may, must or must not use a tool. Default: it may.
    pub fn tool_choice(mut self, choice: ToolChoice) -> Self {
        self.params.tool_choice = Some(choice);
        self
    }

    /// Names the question; see [`Elicit::key`](crate::ask::Elicit::key).
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl<'a> IntoFuture for Sample<'a> {
    type Output = Result<Sampled, AskError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let with_tools = self.params.tools.is_some() || self.params.tool_choice.is_some();
            let needed = if with_tools {
                Needed::SamplingWithTools
            } else {
                Needed::Sampling
            };
            let request = InputRequest::CreateMessage(CreateMessageRequest::new(self.params));
            let read = |answer: &Value| {
                let answer: CreateMessageResult = serde_json::from_value(answer.clone()).ok()?;
                answer.validate().ok()?;
                Some(Sampled {
                    model: answer.model,
                    stop_reason: answer.stop_reason,
                    content: answer.message.content.into_vec(),
                })
            };
            self.cx.asker().ask(self.key, request, needed, read).await
        }
        .boxed()
    }
}

/// What the client's model answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sampled {
    /// The model, as the client names it.
    pub model: String,
    /// Why it stopped, such as `endTurn` or `toolUse`.
    pub stop_reason: Option<String>,
    /// What it said, in order.
    pub content: Vec<SamplingMessageContentBlock>,
}

impl Sampled {
    /// Returns all text of the answer.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|block| match block {
            SamplingMessageContentBlock::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}
