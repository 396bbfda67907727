//! [`Subscriptions`]: what the client of one connection hears of changes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use kv_core::Error as StoreError;
use rmcp::service::{Peer, ServiceError, SubscriptionContext, SubscriptionSendError};
use rmcp::{ErrorData, RoleServer};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::changes::{Changed, Watcher};
use crate::error::chain;
use crate::transport::Settings;
use crate::types::{ResourceUpdatedNotificationParam, SubscriptionFilter};

/// How many resources one client may watch.
const MAX_WATCHED: usize = 1_000;

/// How long an acknowledgement may be under way: after that it has failed, which nobody tells.
const LONGEST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(60);

/// What the client of one connection hears of changes: in a session, all changes of the lists and
/// those of the resources that it has subscribed to; on a stateless connection, what each of its
/// `subscriptions/listen` asks for.
#[derive(Default)]
pub(crate) struct Subscriptions {
    /// Ends what the session is told, together with the connection.
    telling: OnceLock<DropGuard>,
    /// Watches since before the acknowledgements that are under way, so that the changes which
    /// clients make as soon as they have read one are not missed.
    watching: Mutex<VecDeque<(Instant, Watcher)>>,
}

impl Subscriptions {
    /// Begins to tell a session of changes. Once is enough.
    pub(crate) fn tell(
        &self,
        settings: &Arc<Settings>,
        mut watcher: Watcher,
        peer: Peer<RoleServer>,
    ) {
        let over = CancellationToken::new();
        if self.telling.set(over.clone().drop_guard()).is_err() {
            return;
        }
        let settings = Arc::clone(settings);
        let telling = async move {
            while let Some(changed) = watcher.changed().await {
                let uris = changed.of(&settings.subscriptions()).cloned().collect();
                if tell_session(&changed, uris, &peer).await.is_err() {
                    break;
                }
            }
        };
        tokio::spawn(over.run_until_cancelled_owned(telling));
    }

    /// Watches from now on for a subscription that is about to be acknowledged, and no longer for
    /// those whose acknowledgement has failed.
    pub(crate) fn prepare(&self, watcher: Watcher) {
        let now = Instant::now();
        let mut watching = lock(&self.watching);
        watching.retain(|(since, _)| now - *since < LONGEST_ACKNOWLEDGEMENT);
        watching.push_back((now, watcher));
    }

    /// Returns what has watched since the acknowledgement of a subscription, or longer.
    pub(crate) fn prepared(&self) -> Option<Watcher> {
        lock(&self.watching).pop_front().map(|(_, watcher)| watcher)
    }
}

impl fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriptions").finish_non_exhaustive()
    }
}

/// Adds a resource to those that a session watches.
///
/// # Errors
///
/// When it watches 1,000 already, and when its record cannot be written.
pub(crate) async fn add(settings: &Settings, uri: String) -> Result<(), ErrorData> {
    let added = settings.change(|chosen| {
        let uris = &mut chosen.subscriptions;
        if uris.len() >= MAX_WATCHED && !uris.contains(&uri) {
            let message = format!("a session may subscribe to {MAX_WATCHED} resources");
            return Err(ErrorData::invalid_params(message, None));
        }
        uris.insert(uri.clone());
        Ok(())
    });
    added.await.map_err(|error| not_kept(&error))?
}

/// The error of a setting that the session's record has no place for.
pub(crate) fn not_kept(error: &StoreError) -> ErrorData {
    if let StoreError::TooLarge { .. } = error {
        let message = "the session's subscriptions are too large for the store of the server";
        return ErrorData::invalid_params(message, None);
    }
    tracing::error!(error = chain(error), "what a session sets cannot be kept");
    ErrorData::internal_error("what the session sets cannot be kept", None)
}

/// Tells a subscription of changes, of those of resources as long as its client may read them, until
/// the client ends it or the server stops.
pub(crate) async fn listen(
    subscription: &SubscriptionContext,
    mut watcher: Watcher,
    may_read: impl Fn(&str) -> bool,
    stopping: &CancellationToken,
) {
    let telling = async {
        while let Some(changed) = watcher.changed().await {
            if tell_subscription(&changed, subscription, &may_read)
                .await
                .is_err()
            {
                break;
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = subscription.cancelled() => {}
        () = stopping.cancelled() => {}
    }
}

async fn tell_session(
    changed: &Changed,
    uris: Vec<String>,
    peer: &Peer<RoleServer>,
) -> Result<(), ServiceError> {
    if changed.tools {
        peer.notify_tool_list_changed().await?;
    }
    if changed.resources {
        peer.notify_resource_list_changed().await?;
    }
    if changed.prompts {
        peer.notify_prompt_list_changed().await?;
    }
    for uri in uris {
        let update = ResourceUpdatedNotificationParam::new(uri);
        peer.notify_resource_updated(update).await?;
    }
    Ok(())
}

async fn tell_subscription(
    changed: &Changed,
    subscription: &SubscriptionContext,
    may_read: &impl Fn(&str) -> bool,
) -> Result<(), SubscriptionSendError> {
    let (sink, accepted) = (subscription.sink(), subscription.accepted());
    if changed.tools && accepted.tools_list_changed == Some(true) {
        sink.notify_tool_list_changed().await?;
    }
    if changed.resources && accepted.resources_list_changed == Some(true) {
        sink.notify_resource_list_changed().await?;
    }
    if changed.prompts && accepted.prompts_list_changed == Some(true) {
        sink.notify_prompt_list_changed().await?;
    }
    let wanted = accepted.resource_subscriptions.iter().flatten();
    for uri in changed.of(wanted).filter(|uri| may_read(uri)) {
        sink.notify_resource_updated(uri).await?;
    }
    Ok(())
}

/// Returns what a subscription can hear of what it wants: all lists, and those of the first 1,000
/// resources of which `exists` is true.
pub(crate) fn accept(
    wanted: &SubscriptionFilter,
    exists: impl Fn(&str) -> bool,
) -> SubscriptionFilter {
    let uris = wanted.resource_subscriptions.iter().flatten();
    let uris = uris.take(MAX_WATCHED).filter(|uri| exists(uri)).cloned();
    SubscriptionFilter::builder()
        .tools_list_changed()
        .resources_list_changed()
        .prompts_list_changed()
        .resource_subscriptions(uris)
        .build()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::changes::Changes;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failed_acknowledgements_leave_no_watchers_behind() {
        let changes = Changes::new();
        let subscriptions = Subscriptions::default();
        for _ in 0..10 {
            subscriptions.prepare(changes.watch());
        }
        advance(LONGEST_ACKNOWLEDGEMENT / 2).await;
        subscriptions.prepare(changes.watch());
        advance(LONGEST_ACKNOWLEDGEMENT / 2).await;
        subscriptions.prepare(changes.watch());
        // Those of the two that may still be under way are there.
        assert!(subscriptions.prepared().is_some());
        assert!(subscriptions.prepared().is_some());
        assert!(subscriptions.prepared().is_none());
    }
}
