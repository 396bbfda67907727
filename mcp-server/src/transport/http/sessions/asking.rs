//! The request that is being answered: rmcp's session manager is not told of it.

use std::cell::Cell;

/// What rmcp has no status for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport::http) enum Refused {
    /// No session can be made or ended for a new one.
    Full,
    /// There is no such session, or it is another caller's.
    Gone,
}

struct Asking {
    refused: Cell<Option<Refused>>,
}

tokio::task_local! {
    static ASKING: Asking;
}

/// Runs `answer` and returns why the sessions refused it, if they did.
pub(in crate::transport::http) async fn observe<T>(
    answer: impl Future<Output = T>,
) -> (T, Option<Refused>) {
    let asking = Asking {
        refused: Cell::new(None),
    };
    let observed = async {
        let answer = answer.await;
        (answer, ASKING.with(|asking| asking.refused.get()))
    };
    ASKING.scope(asking, observed).await
}

/// Notes why the request is refused.
pub(super) fn refuse(reason: Refused) {
    // rmcp's own tasks also close sessions, where nobody asks.
    let _ = ASKING.try_with(|asking| asking.refused.set(Some(reason)));
}
