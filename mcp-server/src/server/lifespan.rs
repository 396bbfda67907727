//! [`Lifespan`]: what a server opens when it starts and closes when it stops.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kv_core::Store;

use crate::BoxError;
use crate::context::States;

type Start = dyn FnOnce(Arc<dyn Store>) -> BoxFuture<'static, Result<Running, BoxError>> + Send;

/// What a server opens when it starts, before it runs.
pub(crate) struct Lifespan {
    /// The type of the state, known before there is one.
    state: TypeId,
    start: Box<Start>,
}

/// What a server has opened, with the way to close it.
pub(crate) struct Running {
    state: Arc<dyn Any + Send + Sync>,
    type_id: TypeId,
    stop: Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>,
}

impl Lifespan {
    pub(crate) fn new<T, E, Opening, Closing>(
        start: impl FnOnce(Arc<dyn Store>) -> Opening + Send + 'static,
        stop: impl FnOnce(Arc<T>) -> Closing + Send + 'static,
    ) -> Self
    where
        T: Send + Sync + 'static,
        E: Into<BoxError>,
        Opening: Future<Output = Result<T, E>> + Send + 'static,
        Closing: Future<Output = ()> + Send + 'static,
    {
        Self {
            state: TypeId::of::<T>(),
            start: Box::new(move |store| {
                start(store)
                    .map(move |opened| {
                        let state = Arc::new(opened.map_err(Into::into)?);
                        let shared = Arc::clone(&state);
                        Ok(Running {
                            state,
                            type_id: TypeId::of::<T>(),
                            stop: Box::new(move || stop(shared).boxed()),
                        })
                    })
                    .boxed()
            }),
        }
    }

    /// Returns the lifespan of a server that opens nothing.
    pub(crate) fn none() -> Self {
        Self::new(
            |_store| async { Ok::<_, BoxError>(()) },
            |_nothing| async {},
        )
    }

    /// Returns the type of the state that `start` will return.
    pub(crate) const fn state(&self) -> TypeId {
        self.state
    }

    pub(crate) async fn start(self, store: Arc<dyn Store>) -> Result<Running, BoxError> {
        (self.start)(store).await
    }
}

impl Running {
    /// Returns `states` and the one that was opened.
    pub(crate) fn add_to(&self, states: &States) -> States {
        states.with(self.type_id, Arc::clone(&self.state))
    }

    pub(crate) async fn stop(self) {
        (self.stop)().await;
    }
}

impl fmt::Debug for Lifespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifespan").finish_non_exhaustive()
    }
}
