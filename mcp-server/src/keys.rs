//! [`ServerKeys`]: the secrets that seal what a server hands to its clients and takes back.

use std::env::{self, VarError};
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use kv_core::{Store, StoreExt as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Result};

/// Where a server keeps the keys that it made itself.
pub(crate) const RECORD: (&str, &str) = ("mcp_keys", "ring");

/// The environment variable that gives a server its keys.
const VARIABLE: &str = "MCP_KEYS";

const KEY: usize = 32;
const ID: usize = 4;
const NONCE: usize = 24;

/// The first byte of what is sealed.
const FORM: u8 = 1;

/// The secrets of a server: with the first it seals what clients hold for it, such as the state of a
/// call that waits for answers, and it opens what any of them has sealed.
///
/// Every instance of a server needs the same. Without any, a server makes one at its first need and
/// keeps it in its store, in the collection `mcp_keys`, where all instances on that store find it.
///
/// `Debug` shows their number alone.
///
/// # Examples
///
/// ```
/// use mcp_server::{Server, ServerKeys};
///
/// # fn main() -> mcp_server::Result<()> {
/// let keys = ServerKeys::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
/// let server = Server::builder("My Server").keys(keys).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerKeys(Arc<[Zeroizing<[u8; KEY]>]>);

impl ServerKeys {
    /// Makes one random key.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] when the system has no random bytes.
    pub fn generate() -> Result<Self> {
        let mut key = Zeroizing::new([0; KEY]);
        getrandom::fill(&mut *key).map_err(|_| invalid("the system gave no random bytes"))?;
        Ok(Self([key].into()))
    }

    /// Reads keys of 32 bytes in URL-safe base64, separated by commas. The first one seals; to change
    /// it, put the new one first on all instances, and remove the old one 10 minutes later.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] when one is none. It does not repeat the text.
    pub fn from_base64(text: &str) -> Result<Self> {
        let keys = text.split(',').map(|key| {
            let bytes = Zeroizing::new(URL_SAFE.decode(key.trim()).ok()?);
            Some(Zeroizing::new(<[u8; KEY]>::try_from(&**bytes).ok()?))
        });
        let keys: Option<Arc<[_]>> = keys.collect();
        keys.map(Self)
            .ok_or_else(|| invalid("a key is 32 bytes in URL-safe base64, 44 characters"))
    }

    /// Returns the text that [`from_base64`](Self::from_base64) reads: the secrets themselves.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        let keys: Vec<_> = self.0.iter().map(|key| URL_SAFE.encode(**key)).collect();
        Zeroizing::new(keys.join(","))
    }

    /// Returns the keys of the environment variable `MCP_KEYS`; `None` when it is not set.
    pub(crate) fn from_env() -> Result<Option<Self>> {
        match env::var(VARIABLE).map(Zeroizing::new) {
            Ok(text) => Self::from_base64(&text).map(Some),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(invalid("MCP_KEYS is not text")),
        }
    }

    /// Returns the keys that the instances on `store` share. The first that asks makes them.
    pub(crate) async fn of_store(store: &dyn Store) -> Result<Self> {
        let (collection, key) = RECORD;
        loop {
            if let Some(ring) = store.get_value::<Ring>(collection, key).await? {
                return Self::from_base64(&ring.keys);
            }
            let keys = Self::generate()?;
            let ring = Ring {
                keys: keys.to_base64().to_string(),
            };
            if store.put_if_absent(collection, key, &ring, None).await? {
                return Ok(keys);
            }
        }
    }

    /// Makes what seals and opens for one purpose alone.
    pub(crate) fn sealer(&self, purpose: &str) -> Sealer {
        let ready = self.0.iter().map(|key| {
            let derived = Hkdf::<Sha256>::new(None, &**key);
            let mut id = [0; ID];
            let mut secret = Zeroizing::new([0; KEY]);
            for (part, output) in [("id", &mut id[..]), ("key", &mut secret[..])] {
                let info = [purpose.as_bytes(), b"\0", part.as_bytes()];
                #[expect(clippy::expect_used, reason = "HKDF makes up to 8160 bytes")]
                derived
                    .expand_multi_info(&info, output)
                    .expect("it is short");
            }
            (id, XChaCha20Poly1305::new((&*secret).into()))
        });
        Sealer(ready.collect())
    }
}

impl fmt::Debug for ServerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerKeys({})", self.0.len())
    }
}

/// The keys in the store.
#[derive(Serialize, Deserialize)]
struct Ring {
    keys: String,
}

/// Seals texts for one purpose: encrypted, authenticated, and bound to what they are for.
pub(crate) struct Sealer(Vec<([u8; ID], XChaCha20Poly1305)>);

impl Sealer {
    /// Seals `text`, which can be opened with the same `bound` only.
    pub(crate) fn seal(&self, bound: &[u8], text: &[u8]) -> Result<String> {
        let (id, cipher) = &self.0[0];
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| invalid("the system gave no random bytes"))?;
        let payload = Payload {
            msg: text,
            aad: bound,
        };
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| invalid("what they are to seal is too long"))?;
        Ok(URL_SAFE_NO_PAD.encode([&[FORM], &id[..], &nonce, &sealed].concat()))
    }

    /// Opens what [`seal`](Self::seal) made; `None` for anything else.
    pub(crate) fn open(&self, bound: &[u8], sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (form, rest) = bytes.split_first()?;
        let (id, rest) = rest.split_first_chunk::<ID>()?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE>()?;
        let (_, cipher) = self.0.iter().find(|(known, _)| known == id)?;
        let payload = Payload { msg, aad: bound };
        let opened = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
        (*form == FORM).then_some(opened)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({})", self.0.len())
    }
}

fn invalid(reason: &str) -> Error {
    Error::InvalidOption {
        option: "keys",
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use kv_memory::MemoryStore;

    use super::*;

    const KEY_TEXT: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn keys(text: &str) -> ServerKeys {
        ServerKeys::from_base64(text).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_for_the_same_purpose_and_thing_alone() {
        let sealer = keys(KEY_TEXT).sealer("a");
        let sealed = sealer.seal(b"bound", b"text").unwrap();
        assert_eq!(sealer.open(b"bound", &sealed).unwrap(), b"text");
        assert_eq!(sealer.open(b"other", &sealed), None);
        assert_eq!(keys(KEY_TEXT).sealer("b").open(b"bound", &sealed), None);
        assert!(!sealed.contains("dGV4dA"));
    }

    #[test]
    fn no_changed_bit_is_opened() {
        let sealer = keys(KEY_TEXT).sealer("a");
        let sealed = sealer.seal(b"", b"text").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = String::from_utf8_lossy(&changed);
            assert_eq!(sealer.open(b"", &changed), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open(b"", &sealed[..length]), None);
        }
    }

    #[test]
    fn a_former_key_opens_and_does_not_seal() {
        let old = keys(KEY_TEXT);
        let new = ServerKeys::generate().unwrap();
        let both = keys(&format!("{}, {KEY_TEXT}", *new.to_base64()));
        let sealed = old.sealer("a").seal(b"", b"text").unwrap();
        assert_eq!(both.sealer("a").open(b"", &sealed).unwrap(), b"text");
        assert_eq!(new.sealer("a").open(b"", &sealed), None);
        let sealed = both.sealer("a").seal(b"", b"text").unwrap();
        assert_eq!(new.sealer("a").open(b"", &sealed).unwrap(), b"text");
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_and_not_repeated() {
        for text in ["", "secret", &KEY_TEXT[1..], &format!("{KEY_TEXT},")] {
            let error = ServerKeys::from_base64(text).unwrap_err().to_string();
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
        assert_eq!(format!("{:?}", keys(KEY_TEXT)), "ServerKeys(1)");
    }

    #[tokio::test]
    async fn all_instances_on_a_store_have_the_same_keys() {
        let store = MemoryStore::new();
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { ServerKeys::of_store(&store).await.unwrap() })
            })
            .collect();
        let first = ServerKeys::of_store(&store).await.unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap().to_base64(), first.to_base64());
        }
    }
}
