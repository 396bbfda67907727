//! [`open`]: the store that one line of text names, such as a command line or an environment gives.

#[cfg(feature = "dynamodb")]
use std::borrow::Cow;
use std::sync::Arc;

use kv_core::Store;
use kv_memory::MemoryStore;

use crate::{Error, Result};

/// The option that errors name.
const OPTION: &str = "--storage";

const FORMS: &str = "it must be memory:, disk:PATH, redis://HOST or dynamodb://TABLE";

/// Makes the store that `text` names. Connects to nothing: the server does, or the first operation.
///
/// This is what `--storage` and `MCP_STORAGE` take; the store replaces the one that the program
/// gave to `ServerBuilder::storage`, with all that it wrapped around it. A program that wraps its
/// store calls this itself, wraps the result and leaves the option out.
///
/// | text | store | feature of this crate |
/// | --- | --- | --- |
/// | `memory:` | in memory, lost when the process ends | |
/// | `disk:PATH` | in the folder `PATH`, for this process alone | `disk` (on by default) |
/// | `disk:PATH?shared` | the same, for any number of local processes | `disk` |
/// | `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://..` with TLS | a Redis server | `redis` |
/// | `dynamodb://TABLE[?endpoint=URL][&region=REGION][&create=false]` | a DynamoDB table; endpoint, region and credentials else as the AWS SDK finds them; made when it is not there, unless `create=false`, which also needs fewer permissions | `dynamodb` |
///
/// # Errors
///
/// [`Error::InvalidOption`] for a text that is none of these, and for one whose feature is not
/// compiled in; [`Error::Store`] when the store refuses it. No error repeats the text, which may
/// hold a password.
///
/// # Examples
///
/// ```
/// use mcp_server::storage;
///
/// let store = storage::open("memory:")?;
/// assert_eq!(store.info().name, "memory");
/// assert!(storage::open("mysql://root:secret@localhost").is_err());
/// # Ok::<(), mcp_server::Error>(())
/// ```
pub fn open(text: &str) -> Result<Arc<dyn Store>> {
    let (scheme, rest) = text.split_once(':').ok_or_else(|| invalid(FORMS))?;
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        "memory" => Err(invalid("nothing follows memory:")),
        "disk" => disk(rest),
        "redis" | "rediss" | "redis+unix" => redis(text),
        "dynamodb" => dynamodb(rest),
        _ => Err(invalid(FORMS)),
    }
}

#[cfg(feature = "disk")]
fn disk(rest: &str) -> Result<Arc<dyn Store>> {
    let (path, shared) = match rest.strip_suffix("?shared") {
        Some(path) => (path, true),
        None => (rest, false),
    };
    let mut store = kv_disk::DiskStore::builder(path);
    if shared {
        store = store.shared();
    }
    Ok(Arc::new(store.build()?))
}

#[cfg(feature = "redis")]
fn redis(text: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(kv_redis::RedisStore::new(text)?))
}

#[cfg(feature = "dynamodb")]
fn dynamodb(rest: &str) -> Result<Arc<dyn Store>> {
    const FORM: &str =
        "a table is named as dynamodb://TABLE?endpoint=URL&region=REGION&create=false";
    let rest = rest.strip_prefix("//").ok_or_else(|| invalid(FORM))?;
    let (table, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut store = kv_dynamodb::DynamoDbStore::builder(decoded(table, FORM)?);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(|| invalid(FORM))?;
        let value = decoded(value, FORM)?;
        store = match name {
            "endpoint" => store.endpoint(value),
            "region" => store.region(value),
            "create" if value == "true" => store.create_table(true),
            "create" if value == "false" => store.create_table(false),
            _ => return Err(invalid(FORM)),
        };
    }
    Ok(Arc::new(store.build()?))
}

#[cfg(feature = "dynamodb")]
fn decoded<'a>(text: &'a str, form: &'static str) -> Result<Cow<'a, str>> {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| invalid(form))
}

#[cfg(not(feature = "disk"))]
fn disk(_: &str) -> Result<Arc<dyn Store>> {
    Err(not_compiled("disk"))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str) -> Result<Arc<dyn Store>> {
    Err(not_compiled("redis"))
}

#[cfg(not(feature = "dynamodb"))]
fn dynamodb(_: &str) -> Result<Arc<dyn Store>> {
    Err(not_compiled("dynamodb"))
}

#[cfg(not(all(feature = "disk", feature = "redis", feature = "dynamodb")))]
fn not_compiled(feature: &str) -> Error {
    Error::InvalidOption {
        option: OPTION,
        reason: format!("this program was built without the feature `{feature}` of mcp-server"),
    }
}

fn invalid(reason: &str) -> Error {
    Error::InvalidOption {
        option: OPTION,
        reason: reason.to_owned(),
    }
}

#[cfg(all(test, feature = "disk", feature = "redis", feature = "dynamodb"))]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = open(text).map(|_| ()).expect_err("it is refused");
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("--storage") || matches!(error, Error::Store { .. }),
            "{text}"
        );
        text
    }

    #[test]
    fn each_form_names_its_store() {
        for (text, name) in [
            ("memory:", "memory"),
            ("disk:some/folder", "disk"),
            ("disk:/some/folder?shared", "disk"),
            ("redis://localhost", "redis"),
            ("redis://:hunter2@localhost:6380/2", "redis"),
            ("rediss://localhost", "redis"),
            ("dynamodb://table", "dynamodb"),
            (
                "dynamodb://table?endpoint=http://127.0.0.1:8000&region=eu-west-1",
                "dynamodb",
            ),
            (
                "dynamodb://table?endpoint=http%3A%2F%2F127.0.0.1%3A8000",
                "dynamodb",
            ),
            ("dynamodb://table?create=false", "dynamodb"),
        ] {
            assert_eq!(open(text).expect("a store").info().name, name, "{text}");
        }
    }

    #[test]
    fn a_folder_is_shared_only_when_it_says_so() {
        assert!(!open("disk:data").expect("a store").info().shared);
        assert!(open("disk:data?shared").expect("a store").info().shared);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "memory",
            "memory:x",
            "disk:",
            "data",
            "mysql://localhost",
            "redis://",
            "dynamodb:table",
            "dynamodb://",
            "dynamodb://table?region",
            "dynamodb://table?zone=a",
            "dynamodb://table?create=no",
            "dynamodb://%ff",
            "dynamodb://table?endpoint=",
            "dynamodb://table?endpoint=localhost:8000",
            "dynamodb://table?region=",
        ] {
            refused(text);
        }
    }

    #[test]
    fn no_error_repeats_a_password() {
        for text in [
            "mysql://root:hunter2@localhost",
            "redis://:hunter2@local host",
            "rediss://user:hunter2@[::1",
            "dynamodb://table?endpoint=http://user:hunter2@localhost",
            "hunter2",
        ] {
            let said = refused(text);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
