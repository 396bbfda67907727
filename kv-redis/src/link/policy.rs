//! Warns of a server that may drop live entries to make room.

use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::timeout;
use tracing::{debug, warn};

/// The policy under which a full server refuses writes and drops nothing.
const KEEPS_ALL: &str = "noeviction";

/// Asks the server for its policy, and warns when it may drop live entries.
///
/// A server that does not tell is not warned of: many hosted ones forbid the question.
pub(crate) async fn check(mut connection: MultiplexedConnection, within: Duration) {
    let mut question = redis::cmd("INFO");
    question.arg("memory");
    let answer = timeout(within, connection.send_packed_command(&question)).await;
    let Ok(Ok(answer)) = answer else {
        debug!("redis did not tell its eviction policy");
        return;
    };
    let text = match &answer {
        Value::VerbatimString { text, .. } => text.as_bytes(),
        Value::BulkString(text) => text,
        _ => return,
    };
    if let Some(policy) = dropping_policy(&String::from_utf8_lossy(text)) {
        warn!(
            policy,
            "redis may drop live entries when its memory is full, tokens and sessions among them: \
             set maxmemory-policy to noeviction"
        );
    }
}

/// Returns the policy in the section `memory` of `INFO`, when it may drop live entries.
fn dropping_policy(info: &str) -> Option<&str> {
    let value = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':').map(str::trim)
    };
    let limited = value("maxmemory").is_some_and(|bytes| bytes != "0");
    value("maxmemory_policy").filter(|policy| limited && *policy != KEEPS_ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_with_a_policy_that_drops_is_told() {
        let info = "# Memory\r\nmaxmemory:2097152\r\nmaxmemory_policy:allkeys-lru\r\n";
        assert_eq!(dropping_policy(info), Some("allkeys-lru"));
    }

    #[test]
    fn a_server_without_a_limit_or_that_keeps_all_is_not_told() {
        let unlimited = "maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n";
        let keeping = "maxmemory:2097152\r\nmaxmemory_policy:noeviction\r\n";
        for info in [unlimited, keeping, "", "nonsense"] {
            assert_eq!(dropping_policy(info), None, "{info}");
        }
    }
}
