//! The request that is being answered: rmcp's session manager is not told of it.

use std::cell::Cell;

use super::record::Owner;
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
    /// The client says too much of itself.
    TooLarge,
    /// The store does not answer.
    Unavailable,
}

struct Asking {
    owner: Option<Owner>,
    refused: Cell<Option<Refused>>,
}

tokio::task_local! {
    static ASKING: Asking;
}

/// Runs `answer` to a request of `principal` and returns why the sessions refused it, if they did.
pub(in crate::transport::http) async fn observe<T>(
    principal: Option<&Principal>,
    answer: impl Future<Output = T>,
) -> (T, Option<Refused>) {
    let asking = Asking {
        owner: principal.map(Owner::of),
        refused: Cell::new(None),
    };
    let observed = async {
        let answer = answer.await;
        (answer, ASKING.with(|asking| asking.refused.get()))
    };
    ASKING.scope(asking, observed).await
}

/// Returns who asks, if the request was authenticated.
pub(super) fn owner() -> Option<Owner> {
    let owner = ASKING.try_with(|asking| asking.owner.clone());
    owner.ok().flatten()
}

/// Tells whether a client asks, and not one of rmcp's own tasks.
pub(super) fn is_client() -> bool {
    ASKING.try_with(|_| ()).is_ok()
}

/// Tells whether a session of `owner` is one of the caller's.
pub(super) fn is_asked_by(owner: Option<&Owner>) -> bool {
    let asked = ASKING.try_with(|asking| asking.owner.as_ref() == owner);
    // rmcp's own tasks ask for nobody.
    asked.unwrap_or(true)
}

/// Notes why the request is refused.
pub(super) fn refuse(reason: Refused) {
    // rmcp's own tasks also close sessions, where nobody asks.
    let _ = ASKING.try_with(|asking| asking.refused.set(Some(reason)));
}
