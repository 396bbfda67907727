//! [`Message`]: what a client has sent, on its way through the middleware.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use serde_json::Value;

use super::params::{AnyParams, Params};
use crate::{Context, Principal};

/// What a client has sent, on its way through the middleware to what answers it. A clone can be
/// changed and passed on in its place. `Debug` does not show what it says.
#[derive(Clone)]
#[non_exhaustive]
pub struct Message<T = AnyParams> {
    /// What it says. What is changed here is changed for all that comes after.
    pub params: T,
    cx: Context,
    received: SystemTime,
}

impl<T: Params> Message<T> {
    pub(crate) fn new(params: T, cx: Context) -> Self {
        Self {
            params,
            cx,
            received: SystemTime::now(),
        }
    }

    /// Returns the method, as `tools/call`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.params.method()
    }

    /// Returns the name of the tool or prompt, or the URI of the resource; `None` where there is
    /// none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.params.name()
    }

    /// Returns what is said, in its JSON form.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.params.to_json()
    }
}

impl<T> Message<T> {
    /// Returns the server, as the client that has sent this sees it: its state, its session, what
    /// can be told to the client.
    ///
    /// What is set in its [`request_state`](Context::request_state) is there in the component. On a
    /// stateless connection it has nobody to ask.
    #[must_use]
    pub const fn cx(&self) -> &Context {
        &self.cx
    }

    /// Returns who has sent it; `None` for an anonymous caller.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.cx.principal()
    }

    /// Returns when it has arrived.
    #[must_use]
    pub const fn received(&self) -> SystemTime {
        self.received
    }

    /// Returns the same message for work that outlives the call; see [`Context::detached`].
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.cx = self.cx.detached();
        self
    }

    /// Returns the same message, which goes on when its client leaves; see [`Context::outliving`].
    pub(super) fn outliving(mut self, personal: Arc<AtomicBool>) -> Self {
        self.cx = self.cx.outliving(personal);
        self
    }

    pub(super) fn open(self) -> (T, Envelope) {
        let envelope = Envelope {
            cx: self.cx,
            received: self.received,
        };
        (self.params, envelope)
    }

    pub(crate) fn into_parts(self) -> (T, Context) {
        (self.params, self.cx)
    }
}

impl<T> fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("params", &type_name::<T>())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// A message without what it says.
pub(super) struct Envelope {
    cx: Context,
    received: SystemTime,
}

impl Envelope {
    pub(super) fn of<T>(self, params: T) -> Message<T> {
        Message {
            params,
            cx: self.cx,
            received: self.received,
        }
    }
}
