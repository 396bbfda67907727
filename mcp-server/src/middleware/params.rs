//! [`Params`]: what messages say, and what answers them.
#![expect(
    deprecated,
    reason = "setting a level works until the protocol drops it"
)]

use serde::Serialize;
use serde_json::{Value, json};

use crate::types::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientNotification,
    CompleteRequestParams, CompleteResult, CustomRequest, CustomResult, DiscoverResult,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult,
    InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter,
    UnsubscribeRequestParams, UpdateTaskParams,
};

/// What a message says: any of the types of [`AnyParams`], or that itself.
pub trait Params: sealed::Sealed + Clone + Send + 'static {
    /// What answers it.
    type Answer: Send + 'static;

    /// Returns the method, as `tools/call`.
    fn method(&self) -> &str;

    /// Returns the name of the tool or prompt, or the URI of the resource; `None` where there is
    /// none.
    fn name(&self) -> Option<&str>;

    /// Returns the JSON form.
    fn to_json(&self) -> Value;

    #[doc(hidden)]
    fn into_any(self) -> AnyParams;

    #[doc(hidden)]
    fn answer(any: Answer) -> Option<Self::Answer>;
}

mod sealed {
    pub trait Sealed {}
}

/// `server/discover`, which says nothing.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Discover {}

macro_rules! lists {
    ($($name:ident $method:literal,)*) => {$(
        #[doc = concat!("What `", $method, "` says.")]
        #[derive(Clone, Debug, Default, Serialize)]
        #[non_exhaustive]
        pub struct $name {
            /// Where the page begins; `None` for the first one.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub cursor: Option<String>,
        }

        impl From<Option<PaginatedRequestParams>> for $name {
            fn from(page: Option<PaginatedRequestParams>) -> Self {
                Self {
                    cursor: page.and_then(|page| page.cursor),
                }
            }
        }
    )*};
}

lists!(
    ListTools "tools/list",
    ListResources "resources/list",
    ListResourceTemplates "resources/templates/list",
    ListPrompts "prompts/list",
);

macro_rules! params {
    ($(
        $(#[$doc:meta])*
        $name:ident($params:ident) -> $answer:ident by $method:literal $(named $field:ident)?,
    )*) => {
        /// What a message says.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnyParams {
            $($(#[$doc])* $name($params),)*
            /// A request of another method.
            Other(OtherRequest),
            /// A notification, which nothing answers.
            Notification(Notification),
        }

        /// What answers a message.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Answer {
            $(#[doc = concat!("That of `", $method, "`.")] $name($answer),)*
            /// That of another method.
            Other(OtherAnswer),
            /// That of a notification, which is none.
            None,
        }

        $(
            impl sealed::Sealed for $params {}

            impl Params for $params {
                type Answer = $answer;

                fn method(&self) -> &str {
                    $method
                }

                fn name(&self) -> Option<&str> {
                    [$(Some(&*self.$field),)? None][0]
                }

                fn to_json(&self) -> Value {
                    json!(self)
                }

                fn into_any(self) -> AnyParams {
                    AnyParams::$name(self)
                }

                fn answer(any: Answer) -> Option<$answer> {
                    match any {
                        Answer::$name(answer) => Some(answer),
                        _ => None,
                    }
                }
            }

            impl From<$answer> for Answer {
                fn from(answer: $answer) -> Self {
                    Self::$name(answer)
                }
            }
        )*

        impl Params for AnyParams {
            type Answer = Answer;

            fn method(&self) -> &str {
                match self {
                    $(Self::$name(params) => params.method(),)*
                    Self::Other(params) => params.method(),
                    Self::Notification(params) => params.method(),
                }
            }

            fn name(&self) -> Option<&str> {
                match self {
                    $(Self::$name(params) => params.name(),)*
                    Self::Other(_) | Self::Notification(_) => None,
                }
            }

            fn to_json(&self) -> Value {
                match self {
                    $(Self::$name(params) => params.to_json(),)*
                    Self::Other(params) => params.to_json(),
                    Self::Notification(params) => params.to_json(),
                }
            }

            fn into_any(self) -> Self {
                self
            }

            fn answer(any: Answer) -> Option<Answer> {
                Some(any)
            }
        }
    };
}

impl sealed::Sealed for AnyParams {}

params!(
    /// The handshake of protocol 2025-11-25 and before.
    Initialize(InitializeRequestParams) -> InitializeResult by "initialize",
    /// What takes the place of the handshake since protocol 2026-07-28.
    Discover(Discover) -> DiscoverResult by "server/discover",
    /// A call of a tool.
    CallTool(CallToolRequestParams) -> CallToolResponse by "tools/call" named name,
    /// A read of a resource.
    ReadResource(ReadResourceRequestParams) -> ReadResourceResponse by "resources/read" named uri,
    /// A prompt to be rendered.
    GetPrompt(GetPromptRequestParams) -> GetPromptResponse by "prompts/get" named name,
    /// A page of the tools.
    ListTools(ListTools) -> ListToolsResult by "tools/list",
    /// A page of the resources that are no templates.
    ListResources(ListResources) -> ListResourcesResult by "resources/list",
    /// A page of the resource templates.
    ListResourceTemplates(ListResourceTemplates) -> ListResourceTemplatesResult
        by "resources/templates/list",
    /// A page of the prompts.
    ListPrompts(ListPrompts) -> ListPromptsResult by "prompts/list",
);

macro_rules! others {
    ($($name:ident($params:ident) by $method:literal,)*) => {
        /// A request that has no hook of its own.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum OtherRequest {
            $(#[doc = concat!("`", $method, "`.")] $name($params),)*
            /// `ping`.
            Ping,
            /// `subscriptions/listen`, which is answered when it ends.
            Listen(SubscriptionFilter),
            /// One that MCP does not know.
            Custom(CustomRequest),
        }

        impl sealed::Sealed for OtherRequest {}

        impl Params for OtherRequest {
            type Answer = OtherAnswer;

            fn method(&self) -> &str {
                match self {
                    $(Self::$name(_) => $method,)*
                    Self::Ping => "ping",
                    Self::Listen(_) => "subscriptions/listen",
                    Self::Custom(request) => &request.method,
                }
            }

            fn name(&self) -> Option<&str> {
                None
            }

            fn to_json(&self) -> Value {
                match self {
                    $(Self::$name(params) => json!(params),)*
                    Self::Ping => json!({}),
                    Self::Listen(wanted) => json!({ "notifications": wanted }),
                    Self::Custom(request) => json!(request.params),
                }
            }

            fn into_any(self) -> AnyParams {
                AnyParams::Other(self)
            }

            fn answer(any: Answer) -> Option<OtherAnswer> {
                match any {
                    Answer::Other(answer) => Some(answer),
                    _ => None,
                }
            }
        }
    };
}

/// What answers an [`OtherRequest`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OtherAnswer {
    /// That it is done.
    Done,
    /// Suggestions.
    Complete(CompleteResult),
    /// How a task is.
    GetTask(GetTaskResult),
    /// What answers a request that MCP does not know.
    Custom(CustomResult),
}

others!(
    Complete(CompleteRequestParams) by "completion/complete",
    SetLevel(SetLevelRequestParams) by "logging/setLevel",
    Subscribe(SubscribeRequestParams) by "resources/subscribe",
    Unsubscribe(UnsubscribeRequestParams) by "resources/unsubscribe",
    GetTask(GetTaskParams) by "tasks/get",
    UpdateTask(UpdateTaskParams) by "tasks/update",
    CancelTask(CancelTaskParams) by "tasks/cancel",
);

impl From<OtherAnswer> for Answer {
    fn from(answer: OtherAnswer) -> Self {
        Self::Other(answer)
    }
}

/// A notification of a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notification {
    /// What it says.
    pub content: ClientNotification,
}

impl Notification {
    pub(crate) const fn new(content: ClientNotification) -> Self {
        Self { content }
    }
}

impl sealed::Sealed for Notification {}

impl Params for Notification {
    type Answer = ();

    fn method(&self) -> &str {
        match &self.content {
            ClientNotification::CancelledNotification(_) => "notifications/cancelled",
            ClientNotification::ProgressNotification(_) => "notifications/progress",
            ClientNotification::InitializedNotification(_) => "notifications/initialized",
            ClientNotification::RootsListChangedNotification(_) => {
                "notifications/roots/list_changed"
            }
            ClientNotification::CustomNotification(custom) => &custom.method,
            _ => "notifications",
        }
    }

    fn name(&self) -> Option<&str> {
        None
    }

    fn to_json(&self) -> Value {
        let mut content = json!(self.content);
        content["params"].take()
    }

    fn into_any(self) -> AnyParams {
        AnyParams::Notification(self)
    }

    fn answer(any: Answer) -> Option<()> {
        matches!(any, Answer::None).then_some(())
    }
}
