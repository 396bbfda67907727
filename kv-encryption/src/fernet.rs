//! [`Fernet`]: tokens by the [Fernet specification](https://github.com/fernet/spec/blob/master/Spec.md),
//! in their binary form.

use aes::Aes128;
use bytes::Bytes;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, InnerIvInit as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The first byte of a token.
const VERSION: u8 = 0x80;

const BLOCK: usize = 16;
/// What stands before the ciphertext: the version, the time in seconds, the IV.
const HEADER: usize = 1 + 8 + BLOCK;
const MAC: usize = 32;

/// How much longer a token is than its plaintext without the padding.
pub(crate) const OVERHEAD: usize = HEADER + MAC;

/// A key that is ready for use.
///
/// How old a token is, or whether it is of the future, is no matter here: a record's expiry is in the
/// record, and a writer's clock may be ahead.
#[derive(Clone)]
pub(crate) struct Fernet {
    cipher: Aes128,
    mac: Hmac<Sha256>,
}

/// Returns room for a token, to append a plaintext of about `capacity` bytes to.
pub(crate) fn draft(capacity: usize) -> Vec<u8> {
    let mut token = Vec::with_capacity(capacity + BLOCK + OVERHEAD);
    token.resize(HEADER, 0);
    token
}

impl Fernet {
    /// Takes the key for the signature, 16 bytes, and that for the encryption.
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let (signing, encryption) = secret.split_at(16);
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mac = Hmac::new_from_slice(signing).expect("any length is right");
        #[expect(clippy::expect_used, reason = "the half of 32 bytes")]
        let cipher = Aes128::new_from_slice(encryption).expect("16 bytes are an AES key");
        Self { cipher, mac }
    }

    /// Makes the token of the plaintext in a [`draft`], at a time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub(crate) fn encrypt(
        &self,
        draft: Vec<u8>,
        seconds: u64,
    ) -> Result<Vec<u8>, getrandom::Error> {
        let mut iv = [0; BLOCK];
        getrandom::fill(&mut iv)?;
        Ok(self.encrypt_with(iv, draft, seconds))
    }

    fn encrypt_with(&self, iv: [u8; BLOCK], draft: Vec<u8>, seconds: u64) -> Vec<u8> {
        let mut token = draft;
        token[0] = VERSION;
        token[1..9].copy_from_slice(&seconds.to_be_bytes());
        token[9..HEADER].copy_from_slice(&iv);
        let length = token.len() - HEADER;
        token.resize(HEADER + (length / BLOCK + 1) * BLOCK, 0);
        let cipher = cbc::Encryptor::inner_iv_init(self.cipher.clone(), &iv.into());
        #[expect(clippy::expect_used, reason = "the line above made room for it")]
        cipher
            .encrypt_padded::<Pkcs7>(&mut token[HEADER..], length)
            .expect("there is room for the padding");
        let mac = self.mac.clone().chain_update(&token).finalize();
        token.extend_from_slice(&mac.into_bytes());
        token
    }

    /// Tells whether this key has signed the token. Takes the same time for every one that it has
    /// not.
    pub(crate) fn is_authentic(&self, token: &[u8]) -> bool {
        let Some((signed, mac)) = token.split_last_chunk::<MAC>() else {
            return false;
        };
        let is_whole =
            signed.len() >= HEADER + BLOCK && (signed.len() - HEADER).is_multiple_of(BLOCK);
        let mac = self.mac.clone().chain_update(signed).verify(mac.into());
        is_whole && signed[0] == VERSION && mac.is_ok()
    }

    /// Returns the plaintext of a token that [is authentic](Self::is_authentic); `None` when its
    /// writer has not padded it.
    pub(crate) fn decrypt(&self, mut token: Vec<u8>) -> Option<Bytes> {
        token.truncate(token.len() - MAC);
        let (header, ciphertext) = token.split_at_mut(HEADER);
        let iv = header.last_chunk::<BLOCK>()?;
        let cipher = cbc::Decryptor::inner_iv_init(self.cipher.clone(), iv.into());
        let length = cipher.decrypt_padded::<Pkcs7>(ciphertext).ok()?.len();
        Some(Bytes::from(token).slice(HEADER..HEADER + length))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE;
    use serde_json::Value;
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn what_is_made_of_a_key_is_cleared_when_it_is_dropped() {
        fn is_cleared<T: ZeroizeOnDrop>(_: &T) {}

        let fernet = Fernet::new(&[7; 32]);
        is_cleared(&fernet.cipher);
        // What the MAC consists of, which says nothing of the kind itself.
        is_cleared(&Sha256::default());
    }

    #[test]
    fn the_token_of_the_specification_is_generated() {
        let vectors = include_str!("../tests/data/fernet-spec.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let vector = &vectors["generate"][0];
        let bytes = |name| URL_SAFE.decode(vector[name].as_str().unwrap()).unwrap();
        let numbers = vector["iv"].as_array().unwrap().iter();
        let iv: Vec<u8> = numbers.map(|n| n.as_u64().unwrap() as u8).collect();

        let fernet = Fernet::new(bytes("secret").as_slice().try_into().unwrap());
        let mut draft = draft(0);
        draft.extend_from_slice(vector["src"].as_str().unwrap().as_bytes());
        // 1985-10-26T01:20:00-07:00
        let token = fernet.encrypt_with(iv.try_into().unwrap(), draft, 499_162_800);
        assert_eq!(token, bytes("token"));
    }

    #[test]
    fn a_plaintext_of_any_length_comes_back() {
        let fernet = Fernet::new(&[7; 32]);
        for length in 0..100 {
            let mut draft = draft(length);
            draft.resize(HEADER + length, b'x');
            let token = fernet.encrypt(draft, 0).unwrap();
            assert!(fernet.is_authentic(&token));
            assert_eq!(fernet.decrypt(token).unwrap(), vec![b'x'; length]);
        }
    }

    #[test]
    fn what_is_too_short_for_a_token_is_not_authentic() {
        let fernet = Fernet::new(&[7; 32]);
        let signed = |length| {
            let signed = vec![VERSION; length];
            let mac = fernet.mac.clone().chain_update(&signed).finalize();
            [signed, mac.into_bytes().to_vec()].concat()
        };
        for length in 0..HEADER + 3 * BLOCK {
            let is_whole = length == HEADER + BLOCK || length == HEADER + 2 * BLOCK;
            assert_eq!(fernet.is_authentic(&signed(length)), is_whole, "{length}");
            assert!(!fernet.is_authentic(&vec![VERSION; length]));
        }
    }
}
