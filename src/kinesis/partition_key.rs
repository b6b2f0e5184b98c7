//! How a Kafka record's key is shown as a Kinesis partition key (DESIGN 5, `docs/KINESIS.md`).
//!
//! A key that is text of 1 to 256 characters is shown as it is. Any other key is shown by a
//! stand-in that is printable, the same each time, and at most 256 characters long; the stored
//! bytes stay as they are.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Characters of a partition key.
const CHARS_MAX: usize = 256;
const NULL: &str = "kafka:null";
const EMPTY: &str = "kafka:empty";
const BASE64: &str = "kafka:base64:";
const SHA256: &str = "kafka:sha256:";
/// Bytes whose base64 still fits behind its prefix: 243 characters hold 182 bytes.
const BASE64_BYTES_MAX: usize = (CHARS_MAX - BASE64.len()) * 3 / 4;

/// The partition key of a record with this Kafka key.
pub fn shown(key: Option<&[u8]>) -> String {
    let Some(key) = key else { return NULL.to_owned() };
    if key.is_empty() {
        return EMPTY.to_owned();
    }
    if let Ok(text) = std::str::from_utf8(key)
        && text.chars().count() <= CHARS_MAX
    {
        return text.to_owned();
    }
    if key.len() <= BASE64_BYTES_MAX {
        return format!("{BASE64}{}", URL_SAFE_NO_PAD.encode(key));
    }
    format!("{SHA256}{}", URL_SAFE_NO_PAD.encode(Sha256::digest(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_1_to_256_characters_is_shown_as_it_is() {
        for key in ["a", "user-42", "grün", &"ü".repeat(256), "kafka:null", "with \"quotes\"\n"] {
            assert_eq!(shown(Some(key.as_bytes())), key);
        }
    }

    #[test]
    fn any_other_key_has_a_printable_stand_in_of_at_most_256_characters() {
        assert_eq!(shown(None), "kafka:null");
        assert_eq!(shown(Some(b"")), "kafka:empty");
        assert_eq!(shown(Some(b"\x00\x00\x00\xff")), "kafka:base64:AAAA_w");
        for key in [vec![0xff; 182], vec![0xff; 183], vec![b'x'; 257], vec![0xff; 1 << 20]] {
            let text = shown(Some(&key));
            assert!(text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic()), "{text}");
            assert_eq!(text, shown(Some(&key)));
        }
    }

    #[test]
    fn different_keys_have_different_stand_ins() {
        let long = vec![0xff; 500];
        let mut other = long.clone();
        other[499] = 0xfe;
        assert_ne!(shown(Some(&long)), shown(Some(&other)));
        assert_ne!(shown(Some(b"\xff\x00")), shown(Some(b"\xff")));
    }
}
