//! The text of a token inside a value: URL-safe base64, as Fernet has it, and base64 again around
//! that, as py-key-value writes bytes.
//!
//! Only the one spelling that [`encode`] makes is read, so no bit of it can be changed unnoticed.

use base64::{DecodeError, Engine};

/// Appends the text of `token`.
pub(crate) fn encode(token: &[u8], text: &mut Vec<u8>) {
    let mut fernet = Vec::new();
    append(&*engine::URL_SAFE, token, &mut fernet);
    append(&*engine::STANDARD, &fernet, text);
}

fn append(engine: &impl Engine, bytes: &[u8], text: &mut Vec<u8>) {
    let start = text.len();
    text.resize(start + bytes.len().div_ceil(3) * 4, 0);
    #[expect(clippy::expect_used, reason = "base64 has 4 characters for 3 bytes")]
    let written = engine
        .encode_slice(bytes, &mut text[start..])
        .expect("there is room");
    text.truncate(start + written);
}

/// Returns the token of a text.
pub(crate) fn decode(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let fernet = engine::STANDARD.decode(text)?;
    engine::URL_SAFE.decode(fernet)
}

/// Returns the length of the text of a token of this length.
pub(crate) const fn encoded_len(token: usize) -> usize {
    (token.div_ceil(3) * 4).div_ceil(3) * 4
}

/// With vector instructions, which take an eighth of the time, where the crate has them.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
))]
mod engine {
    use std::sync::LazyLock;

    use base64::engine::Simd;
    use base64::engine::general_purpose::PAD;

    pub(super) static STANDARD: LazyLock<Simd> = LazyLock::new(|| Simd::standard(PAD));
    pub(super) static URL_SAFE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(PAD));
}

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_feature = "neon")
)))]
mod engine {
    use base64::engine::GeneralPurpose;
    use base64::engine::general_purpose;

    pub(super) static STANDARD: &GeneralPurpose = &general_purpose::STANDARD;
    pub(super) static URL_SAFE: &GeneralPurpose = &general_purpose::URL_SAFE;
}
