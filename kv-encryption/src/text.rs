//! The text of a token inside a value: URL-safe base64, as Fernet has it. In Python's format there
//! is base64 again around that, as py-key-value writes bytes.
//!
//! Only the one spelling that [`encode`] makes is read, so no bit of it can be changed unnoticed.

use base64::{DecodeError, Engine};

use crate::store::Format;

/// Appends the text of `token`.
pub(crate) fn encode(format: Format, token: &[u8], text: &mut Vec<u8>) {
    match format {
        Format::Bound => append(&*engine::URL_SAFE, token, text),
        Format::PythonCompatible => {
            let mut fernet = Vec::new();
            append(&*engine::URL_SAFE, token, &mut fernet);
            append(&*engine::STANDARD, &fernet, text);
        }
    }
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
pub(crate) fn decode(format: Format, text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match format {
        Format::Bound => engine::URL_SAFE.decode(text),
        Format::PythonCompatible => engine::URL_SAFE.decode(engine::STANDARD.decode(text)?),
    }
}

/// Returns the length of the text of a token of this length.
pub(crate) const fn encoded_len(format: Format, token: usize) -> usize {
    let fernet = token.div_ceil(3) * 4;
    match format {
        Format::Bound => fernet,
        Format::PythonCompatible => fernet.div_ceil(3) * 4,
    }
}

/// Returns the length of the longest token whose text is at most `text` long.
pub(crate) const fn longest_token(format: Format, text: u64) -> u64 {
    let fernet = match format {
        Format::Bound => text,
        Format::PythonCompatible => text / 4 * 3,
    };
    fernet / 4 * 3
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
