//! [`FernetKey`] and [`KeyRing`]: the secrets, and what is made of them.

use std::env;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::fernet::Fernet;

/// How often the password hash is repeated: what py-key-value does, and OWASP's advice is half of it.
const ROUNDS: u32 = 1_200_000;

const KEY_BYTES: usize = 32;

/// Why a key could not be made. No error repeats the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not a Fernet key.
    #[error(
        "a key is 32 bytes in URL-safe base64, 44 characters, as `Fernet.generate_key()` makes"
    )]
    NotAKey,
    /// The source material or the salt is blank.
    #[error("neither the source material nor the salt of a key may be blank")]
    Blank,
    /// The environment variable is not set, or is not text.
    #[error("the environment variable {variable} is not set; it holds the keys, the primary first")]
    #[allow(missing_docs, reason = "the variant's line says it")]
    NotSet { variable: String },
    /// The system gave no random bytes.
    #[error("the system's random source gave no bytes")]
    NoRandomBytes,
}

/// A secret of 32 bytes, as Python's `Fernet` takes it.
///
/// Cleared from memory when it is dropped. `Debug` shows its [id](Self::id) alone.
#[derive(Clone)]
pub struct FernetKey {
    id: String,
    secret: Zeroizing<[u8; KEY_BYTES]>,
}

impl FernetKey {
    /// Makes a random key. Keep its [text](Self::to_base64): nothing can be read without it.
    ///
    /// # Errors
    ///
    /// [`KeyError::NoRandomBytes`] when the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *secret).map_err(|_| KeyError::NoRandomBytes)?;
        Ok(Self::new(secret))
    }

    /// Reads a key as `Fernet.generate_key()` of Python's cryptography writes it. White space around
    /// it is left out.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAKey`] when it is not 32 bytes in URL-safe base64 with padding.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv_encryption::FernetKey;
    ///
    /// let key = FernetKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")?;
    /// assert_eq!(key.id().len(), 16);
    /// assert!(FernetKey::from_base64("password").is_err());
    /// # Ok::<(), kv_encryption::KeyError>(())
    /// ```
    pub fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = URL_SAFE.decode(text.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| KeyError::NotAKey)?;
        let secret = bytes.as_slice().try_into().map_err(|_| KeyError::NotAKey)?;
        Ok(Self::new(Zeroizing::new(secret)))
    }

    /// Derives a key from a secret text: PBKDF2 with HMAC-SHA256 and 1,200,000 rounds, as
    /// py-key-value's `FernetEncryptionWrapper(source_material=.., salt=..)` does.
    ///
    /// Takes about 0.3 s by design, and blocks. Do it once, when the program starts.
    ///
    /// # Errors
    ///
    /// [`KeyError::Blank`] when one of the two holds nothing but white space.
    pub fn derive(source_material: &str, salt: &str) -> Result<Self, KeyError> {
        if source_material.trim().is_empty() || salt.trim().is_empty() {
            return Err(KeyError::Blank);
        }
        let mut secret = Zeroizing::new([0; KEY_BYTES]);
        let (material, salt) = (source_material.as_bytes(), salt.as_bytes());
        pbkdf2::pbkdf2_hmac::<Sha256>(material, salt, ROUNDS, &mut *secret);
        Ok(Self::new(secret))
    }

    fn new(secret: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let digest = part(&secret, b"kv-encryption: key id");
        let id = digest[..8].iter().map(|byte| format!("{byte:02x}"));
        Self {
            id: id.collect(),
            secret,
        }
    }

    /// Returns the name of the key, which stands beside what it has encrypted: 16 hexadecimal
    /// digits, from which the key cannot be found.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the text that [`from_base64`](Self::from_base64) reads: the secret itself.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE.encode(self.secret.as_slice()))
    }
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FernetKey").field(&self.id).finish()
    }
}

/// The keys of a store: the primary one, which encrypts, and retired ones, which only decrypt.
///
/// Clones share the keys. To change the key of a running deployment, in this order:
///
/// 1. give every process the new key as a retired one,
/// 2. make it the primary everywhere, and the old one a retired key,
/// 3. run [`FernetStore::rotate`](crate::FernetStore::rotate) until it reports no failure,
/// 4. remove the old key everywhere.
///
/// # Examples
///
/// ```
/// use kv_encryption::{FernetKey, KeyRing};
///
/// let (old, new) = (FernetKey::generate()?, FernetKey::generate()?);
/// let keys = KeyRing::new(new).with_retired(old);
/// # let _ = keys;
/// # Ok::<(), kv_encryption::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    /// The primary key is the first.
    keys: Arc<Vec<Ready>>,
}

impl KeyRing {
    /// Makes a ring of one key, which encrypts and decrypts.
    #[must_use]
    pub fn new(primary: FernetKey) -> Self {
        Self {
            keys: Arc::new(vec![Ready::new(primary)]),
        }
    }

    /// Adds a key that only decrypts. One that is there already is left where it is.
    #[must_use]
    pub fn with_retired(mut self, key: FernetKey) -> Self {
        if self.find(key.id()).is_none() {
            Arc::make_mut(&mut self.keys).push(Ready::new(key));
        }
        self
    }

    /// Reads the keys from an environment variable: in base64, separated by commas, the primary one
    /// first.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotSet`] when there is no such variable, [`KeyError::NotAKey`] when it holds
    /// something else.
    pub fn from_env(variable: &str) -> Result<Self, KeyError> {
        let not_set = |_| KeyError::NotSet {
            variable: variable.to_owned(),
        };
        let text = Zeroizing::new(env::var(variable).map_err(not_set)?);
        Self::from_list(&text)
    }

    fn from_list(text: &str) -> Result<Self, KeyError> {
        let (primary, retired) = text
            .split_once(',')
            .map_or((text, None), |(first, rest)| (first, Some(rest)));
        let ring = Self::new(FernetKey::from_base64(primary)?);
        let mut retired = retired.into_iter().flat_map(|rest| rest.split(','));
        retired.try_fold(ring, |ring, key| {
            Ok(ring.with_retired(FernetKey::from_base64(key)?))
        })
    }

    pub(crate) fn primary(&self) -> &Ready {
        // A ring is made with one key, and loses none.
        &self.keys[0]
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Ready> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// Finds the key that has encrypted a token without a key's name, the primary one first, and its
    /// place.
    pub(crate) fn find_unbound(&self, token: &[u8]) -> Option<(usize, &Ready)> {
        let mut keys = self.keys.iter().enumerate();
        keys.find(|(_, key)| key.unbound.is_authentic(token))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| &key.id);
        f.debug_list().entries(ids).finish()
    }
}

/// A key that is ready for use.
///
/// The two formats have keys of their own, so that nobody can pass what one has encrypted off as the
/// other's.
#[derive(Clone)]
pub(crate) struct Ready {
    pub(crate) id: String,
    pub(crate) bound: Fernet,
    pub(crate) unbound: Fernet,
}

impl Ready {
    fn new(key: FernetKey) -> Self {
        let mut derived = part(&key.secret, b"kv-encryption: bound records");
        let bound = Fernet::new(&derived);
        derived.zeroize();
        Self {
            bound,
            unbound: Fernet::new(&key.secret),
            id: key.id,
        }
    }
}

/// Makes another secret of a key's, for one purpose.
fn part(secret: &[u8; KEY_BYTES], purpose: &[u8]) -> [u8; KEY_BYTES] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length is right");
    mac.update(purpose);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::{self, Write as _};
    use std::os::unix::ffi::OsStrExt as _;
    use std::process::Command;

    use super::*;

    /// The variable that holds the keys of a process of its own.
    const VARIABLE: &str = "KV_ENCRYPTION_TEST_KEYS";

    /// What such a process says before what it has read.
    const ANSWER: &str = "@read ";

    const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const OTHER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_comes_back_from_its_text() {
        let key = FernetKey::generate().unwrap();
        let same = FernetKey::from_base64(&key.to_base64()).unwrap();
        assert_eq!(same.id(), key.id());
        assert_ne!(FernetKey::generate().unwrap().id(), key.id());
    }

    #[test]
    fn what_is_not_a_key_is_refused_and_not_repeated() {
        for text in [
            "",
            "hunter2",
            &KEY[..43],
            &KEY[1..],
            &format!("{KEY}{KEY}"),
            &KEY.replace('0', "+"),
        ] {
            assert_eq!(FernetKey::from_base64(text).unwrap_err(), KeyError::NotAKey);
        }
        assert!(FernetKey::from_base64(&format!(" {KEY}\n")).is_ok());
    }

    #[test]
    fn blank_material_is_refused() {
        assert_eq!(FernetKey::derive(" ", "salt").unwrap_err(), KeyError::Blank);
        assert_eq!(FernetKey::derive("x", "\t").unwrap_err(), KeyError::Blank);
    }

    #[test]
    fn a_list_is_the_primary_key_and_the_retired_ones() {
        let ring = KeyRing::from_list(&format!("{KEY}, {OTHER},{KEY}")).unwrap();
        let ids: Vec<_> = [KEY, OTHER]
            .map(|key| FernetKey::from_base64(key).unwrap().id)
            .into();
        assert_eq!(format!("{ring:?}"), format!("{ids:?}"));
        for text in ["", ",", &format!("{KEY},"), &format!(",{KEY}")] {
            assert_eq!(KeyRing::from_list(text).unwrap_err(), KeyError::NotAKey);
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_named() {
        let error = KeyRing::from_env("KV_ENCRYPTION_TEST_NOT_SET").unwrap_err();
        assert!(error.to_string().contains("KV_ENCRYPTION_TEST_NOT_SET"));
    }

    /// Has a process of its own read `VARIABLE` from an environment in which it is `text`.
    fn from_an_environment(text: impl AsRef<OsStr>) -> String {
        let output = Command::new(env::current_exe().unwrap())
            .args(["key::tests::the_reading_process", "--exact", "--nocapture"])
            .env(VARIABLE, text)
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let answer = output.lines().find_map(|line| line.strip_prefix(ANSWER));
        answer.unwrap().to_owned()
    }

    #[test]
    fn the_reading_process() {
        if env::var_os(VARIABLE).is_some() {
            let read = KeyRing::from_env(VARIABLE);
            writeln!(io::stdout(), "\n{ANSWER}{read:?}").unwrap();
        }
    }

    #[test]
    fn a_variable_holds_the_keys_with_the_primary_first() {
        let id = |key: &str| FernetKey::from_base64(key).unwrap().id;
        let both = format!("Ok({:?})", [id(OTHER), id(KEY)]);
        let text = format!("{OTHER} ,\n{KEY}\n");
        assert_eq!(from_an_environment(text), both);
        assert_eq!(from_an_environment("hunter2"), "Err(NotAKey)");
        assert_eq!(from_an_environment(""), "Err(NotAKey)");
        let no_text = OsStr::from_bytes(b"hunter2\xff");
        let not_set = format!("Err(NotSet {{ variable: {VARIABLE:?} }})");
        assert_eq!(from_an_environment(no_text), not_set);
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = FernetKey::from_base64(KEY).unwrap();
        let shown = format!("{key:?} {:?}", KeyRing::new(key.clone()));
        assert!(
            !shown.contains("MDEy") && shown.contains(key.id()),
            "{shown}"
        );
    }
}
