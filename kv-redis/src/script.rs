//! The Lua scripts, each of which the server runs as one step. None looks at the time.

use std::sync::LazyLock;

use redis::{Cmd, Script, Value};
use tokio::time::Instant;

use crate::error::{Failure, Kind};
use crate::link::{Link, Repeat};

/// A script: its text, and the hash that the server knows it by.
struct Lua {
    text: &'static str,
    script: LazyLock<Script>,
}

/// Replaces what the key holds by `ARGV[2]`, if it is `ARGV[1]`. `ARGV[3]` is the time to live in
/// milliseconds, or empty. Answers 1 when it did.
///
/// What a key of another type holds is an error value, which is not equal to any string.
const REPLACE: &str = "\
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
    redis.call('SET', KEYS[1], ARGV[2])
else
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1";

/// Removes the key if it holds another type than a string. Answers 1 when it did.
const REMOVE_OTHER: &str = "\
local held = redis.call('TYPE', KEYS[1])['ok']
if held == 'string' or held == 'none' then return 0 end
return redis.call('DEL', KEYS[1])";

static REPLACE_LUA: Lua = Lua {
    text: REPLACE,
    script: LazyLock::new(|| Script::new(REPLACE)),
};

static REMOVE_OTHER_LUA: Lua = Lua {
    text: REMOVE_OTHER,
    script: LazyLock::new(|| Script::new(REMOVE_OTHER)),
};

/// Replaces the record `key` by `new` if it is `old`, byte for byte. Tells whether it did.
pub(crate) async fn replace(
    link: &Link,
    key: &str,
    old: &[u8],
    new: &[u8],
    life_millis: Option<u64>,
    deadline: Instant,
) -> Result<bool, Failure> {
    let life = life_millis.map_or_else(String::new, |millis| millis.to_string());
    run(
        link,
        &REPLACE_LUA,
        key,
        &[old, new, life.as_bytes()],
        deadline,
    )
    .await
}

/// Removes what `key` holds if it is no string. Tells whether it did.
pub(crate) async fn remove_other(
    link: &Link,
    key: &str,
    deadline: Instant,
) -> Result<bool, Failure> {
    run(link, &REMOVE_OTHER_LUA, key, &[], deadline).await
}

/// Runs a script by its hash, and sends its text to a server that does not know it.
async fn run(
    link: &Link,
    lua: &Lua,
    key: &str,
    arguments: &[&[u8]],
    deadline: Instant,
) -> Result<bool, Failure> {
    let request = |mut command: Cmd| {
        command.arg(1).arg(key);
        for argument in arguments {
            command.arg(*argument);
        }
        link.request(key, command)
    };
    let mut by_hash = redis::cmd("EVALSHA");
    by_hash.arg(lua.script.get_hash());
    let answer = match link.call(&request(by_hash), Repeat::Write, deadline).await {
        Err(failure) if failure.kind == Kind::NoScript => {
            let mut by_text = redis::cmd("EVAL");
            by_text.arg(lua.text);
            link.call(&request(by_text), Repeat::Write, deadline).await
        }
        answer => answer,
    };
    match answer? {
        Value::Int(number) => Ok(number == 1),
        _ => Err(Failure::nonsense()),
    }
}
