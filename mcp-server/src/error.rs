//! The errors of a server: [`Error`] for its author, and what a tool, resource or prompt may tell
//! a client.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ask::{AskError, InputRequired};
use crate::state::StateError;
use crate::types::ClientCapabilities;

/// The result of building or running a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error, as the source of another.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a server cannot be built or run.
///
/// `Display` says what to do and never prints its source: print the chain of sources for that.
/// `Debug` prints that chain, so that a `main` that returns the error says what happened.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two components have the same name.
    #[error("two {kind}s are called `{name}`; rename one of them")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Duplicate { kind: &'static str, name: String },

    /// A component's definition is invalid.
    #[error("the {kind} `{name}` is invalid: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    InvalidComponent {
        kind: &'static str,
        name: String,
        reason: String,
    },

    /// A component takes a `State<T>` that nothing provides.
    #[error(
        "`{component}` takes State<{state}>, which nothing provides; add .with_state(..) or a \
         .lifespan(..) that returns it"
    )]
    #[allow(missing_docs, reason = "the variant's line says it")]
    MissingState {
        component: String,
        state: &'static str,
    },

    /// An option of the server is invalid.
    #[error("the option {option} is invalid: {reason}")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    InvalidOption {
        option: &'static str,
        reason: String,
    },

    /// The port is taken.
    #[error("{address} is in use by another program; choose another port with --port")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    AddressInUse {
        address: SocketAddr,
        source: io::Error,
    },

    /// The address cannot be listened on.
    #[error("cannot listen on {address}; choose another with --host and --port")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Listen { address: String, source: io::Error },

    /// The store cannot be opened or read.
    #[error("the store cannot be used")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Store {
        #[from]
        source: kv_core::Error,
    },

    /// The server has not started, so that its store is not open.
    #[error("the server has not started")]
    NotStarted,

    /// The lifespan failed to start.
    #[error("the lifespan failed to start")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Lifespan { source: BoxError },

    /// The transport failed.
    #[error("the {transport} transport failed")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    Transport {
        transport: &'static str,
        source: BoxError,
    },

    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    #[allow(missing_docs, reason = "the variant's line says it")]
    File { path: PathBuf, source: io::Error },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}

/// Returns an error with all its sources, as one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}

/// Defines an error that a component returns: a message for the client, or an inner error that the
/// client does not get to see.
macro_rules! component_error {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(Failure);

        impl $name {
            /// Makes an error whose message the client sees.
            pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
                Self(Failure::Visible(message.into()))
            }

            /// Makes an error that tells the client what is wrong with its arguments.
            pub fn invalid_arguments(message: impl Into<Cow<'static, str>>) -> Self {
                Self(Failure::InvalidArguments(message.into()))
            }

            /// Makes an error that is logged and masked: the client learns only that the call
            /// failed. `?` on any other error does the same.
            pub fn internal(source: impl Into<BoxError>) -> Self {
                Self(Failure::Internal(source.into()))
            }

            /// Returns the message for the client; `None` when the error is masked.
            #[must_use]
            pub fn message(&self) -> Option<&str> {
                match &self.0 {
                    Failure::Visible(message)
                    | Failure::InvalidArguments(message)
                    | Failure::Unsupported { message, .. }
                    | Failure::TimedOut(message) => Some(message),
                    Failure::Asks(_) => Some(InputRequired::TOO_OLD),
                    Failure::Internal(_) => None,
                }
            }

            /// Returns the masked error.
            #[must_use]
            pub fn source(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
                match &self.0 {
                    Failure::Internal(source) => Some(&**source),
                    _ => None,
                }
            }

            /// Is the same error for another who has asked for the same.
            pub(crate) fn again(&self) -> Self {
                Self(self.0.again())
            }

            /// Tells whether the client's arguments are to blame.
            #[must_use]
            pub fn is_invalid_arguments(&self) -> bool {
                matches!(self.0, Failure::InvalidArguments(_))
            }
        }

        impl Asks for $name {
            fn questions(&self) -> Option<&InputRequired> {
                match &self.0 {
                    Failure::Asks(questions) => Some(questions),
                    _ => None,
                }
            }
        }

        impl<E: StdError + Send + Sync + 'static> From<E> for $name {
            fn from(error: E) -> Self {
                let any: &dyn Any = &error;
                if let Some(questions) = any.downcast_ref::<InputRequired>() {
                    return Self(Failure::Asks(Box::new(questions.clone())));
                }
                if let Some(message) = any.downcast_ref().and_then(StateError::for_client) {
                    return Self::invalid_arguments(message);
                }
                match any.downcast_ref().and_then(Failure::of_question) {
                    Some(failure) => Self(failure),
                    None => Self::internal(error),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }
    };
}

/// A component panicked. The panic hook has printed where and why.
#[derive(Debug, thiserror::Error)]
#[error("it panicked")]
pub(crate) struct Panicked;

/// An equal call has failed.
#[derive(Debug, thiserror::Error)]
#[error("an equal call has failed: {0}")]
struct SameAs(String);

/// Why a component failed.
#[derive(Debug)]
enum Failure {
    Visible(Cow<'static, str>),
    InvalidArguments(Cow<'static, str>),
    Unsupported {
        message: Cow<'static, str>,
        required: Box<ClientCapabilities>,
    },
    /// It has not failed: its client is to be asked.
    Asks(Box<InputRequired>),
    TimedOut(Cow<'static, str>),
    Internal(BoxError),
}

/// The error of a component that may be questions.
pub(crate) trait Asks {
    fn questions(&self) -> Option<&InputRequired>;
}

impl Failure {
    fn again(&self) -> Self {
        match self {
            Self::Visible(message) => Self::Visible(message.clone()),
            Self::InvalidArguments(message) => Self::InvalidArguments(message.clone()),
            Self::Unsupported { message, required } => Self::Unsupported {
                message: message.clone(),
                required: required.clone(),
            },
            Self::Asks(questions) => Self::Asks(questions.clone()),
            Self::TimedOut(message) => Self::TimedOut(message.clone()),
            Self::Internal(source) => Self::Internal(SameAs(chain(&**source)).into()),
        }
    }

    fn missing_capabilities(&self) -> Option<&ClientCapabilities> {
        match self {
            Self::Unsupported { required, .. } => Some(required),
            _ => None,
        }
    }

    /// Returns what a client may know of a question that it could not be asked.
    fn of_question(error: &AskError) -> Option<Self> {
        match error {
            AskError::Unsupported { required, .. } => Some(Self::Unsupported {
                message: error.to_string().into(),
                required: required.clone(),
            }),
            AskError::Refused { .. } | AskError::InvalidAnswer => {
                Some(Self::Visible(error.to_string().into()))
            }
            _ => None,
        }
    }
}

component_error! {
    /// Why a tool failed, as its client may see it.
    ///
    /// [`ToolError::new`] carries a message to the client (and to the model behind it). Any other
    /// error becomes a `ToolError` by `?` and is masked: it is logged here, and the client reads
    /// `Error calling tool 'name'`. It is no [`std::error::Error`] itself, like `anyhow::Error`,
    /// so that this conversion can exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use mcp_server::ToolError;
    ///
    /// fn parse(text: &str) -> Result<u16, ToolError> {
    ///     if text.is_empty() {
    ///         return Err(ToolError::new("give a port number"));
    ///     }
    ///     Ok(text.parse()?)
    /// }
    /// assert_eq!(parse("").unwrap_err().message(), Some("give a port number"));
    /// assert_eq!(parse("x").unwrap_err().message(), None);
    /// ```
    ToolError
}

impl ResourceError {
    /// Returns what the client would have to be able to do; `None` when that is not why.
    pub(crate) fn missing_capabilities(&self) -> Option<&ClientCapabilities> {
        self.0.missing_capabilities()
    }

    /// Is the same error of a resource.
    pub(crate) fn of_tool(error: ToolError) -> Self {
        Self(error.0)
    }

    /// Is the same error of a resource.
    pub(crate) fn of_prompt(error: PromptError) -> Self {
        Self(error.0)
    }
}

/// Lets a component pass on the error of one that it uses.
macro_rules! passed_on {
    ($($from:ident to $to:ident),*) => {$(
        impl From<$from> for $to {
            fn from(error: $from) -> Self {
                Self(match error.0 {
                    // Not those that its own client has sent.
                    Failure::InvalidArguments(message) => Failure::Visible(message),
                    failure => failure,
                })
            }
        }
    )*};
}

passed_on!(
    ResourceError to ToolError,
    PromptError to ToolError,
    ResourceError to PromptError,
    PromptError to ResourceError
);

impl ToolError {
    /// Makes the error of a call that took too long.
    pub(crate) fn timed_out(message: String) -> Self {
        Self(Failure::TimedOut(message.into()))
    }

    /// Returns what the client would have to be able to do; `None` when that is not why.
    pub(crate) fn missing_capabilities(&self) -> Option<&ClientCapabilities> {
        self.0.missing_capabilities()
    }

    /// Returns what the client reads when the call took too long; `None` when that is not why.
    pub(crate) fn timeout(&self) -> Option<&str> {
        match &self.0 {
            Failure::TimedOut(message) => Some(message),
            _ => None,
        }
    }
}

component_error! {
    /// Why a resource cannot be read, as its client may see it; see [`ToolError`].
    ResourceError
}

component_error! {
    /// Why a prompt cannot be rendered, as its client may see it; see [`ToolError`].
    PromptError
}
