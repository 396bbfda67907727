//! The request that is being answered: rmcp's session manager is not told of it.

use std::cell::Cell;

use crate::Principal;

/// What rmcp has no status for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::http) enum Refused {
    /// No session can be made or ended for a new one.
    Full,
    /// There is no such session, or it is another caller's.
    Gone,
    /// A request of the session with the same id is still running.
    IdInUse,
    /// Too many requests of the session are running.
    Busy,
}

struct Asking {
    principal: Option<Principal>,
    refused: Cell<Option<Refused>>,
}

tokio::task_local! {
    static ASKING: Asking;
}

/// Runs `answer` to a request of `principal` and returns why the sessions refused it, if they did.
pub(in crate::transport::http) async fn observe<T>(
    principal: Option<Principal>,
    answer: impl Future<Output = T>,
) -> (T, Option<Refused>) {
    let asking = Asking {
        principal,
        refused: Cell::new(None),
    };
    let observed = async {
        let answer = answer.await;
        (answer, ASKING.with(|asking| asking.refused.get()))
    };
    ASKING.scope(asking, observed).await
}

/// Returns who asks, if the request was authenticated.
pub(super) fn principal() -> Option<Principal> {
    let principal = ASKING.try_with(|asking| asking.principal.clone());
    principal.ok().flatten()
}

/// Tells whether a session of `owner` is one of the caller's.
pub(super) fn is_asked_by(owner: Option<&Principal>) -> bool {
    let asked = ASKING.try_with(|asking| asking.principal.as_ref() == owner);
    // rmcp's own tasks ask for nobody: they end sessions.
    asked.unwrap_or(true)
}

/// Notes why the request is refused.
pub(super) fn refuse(reason: Refused) {
    // rmcp's own tasks also close sessions, where nobody asks.
    let _ = ASKING.try_with(|asking| asking.refused.set(Some(reason)));
}
