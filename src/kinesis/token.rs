//! Tokens: shard iterators and page tokens, which clients hand back unread.
//!
//! A token is `kind u8 | issued at, ms u64 | payload | HMAC-SHA256 of all before it`, big-endian,
//! in base64. The key is the node's secret, so a token that was not made here, or was changed, is
//! refused; nothing is kept on the server for it. It is valid for five minutes, as AWS's are.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use model::{Offset, ShardId, Timestamp, TopicId};
use sha2::Sha256;

use crate::{
    calendar,
    error::{ApiError, ErrorKind},
};

/// How long a token is good for.
pub const VALID_MS: i64 = 300_000;
const MAC_BYTES: usize = 32;
const ISSUED_AT: usize = 1;
const PAYLOAD_AT: usize = 9;

/// What a token is for; one kind is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenKind {
    /// GetShardIterator, GetRecords.
    ShardIterator = 1,
    /// ListShards.
    ShardsPage = 2,
    /// ListStreams.
    StreamsPage = 3,
    /// ListStreamConsumers.
    ConsumersPage = 4,
}

/// Makes and reads tokens.
#[derive(Clone)]
pub struct Tokens {
    mac: Hmac<Sha256>,
}

/// The text is no token of this node and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignToken;

/// A token's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// When it was made.
    pub issued: Timestamp,
    /// What was put in.
    pub payload: Vec<u8>,
}

impl Opened {
    /// Whether it is too old to be used.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.0.saturating_sub(self.issued.0) > VALID_MS
    }
}

impl Tokens {
    /// Tokens under this node's secret.
    pub fn new(secret: &[u8]) -> Tokens {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104)")]
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Tokens { mac }
    }

    /// A token of `kind` that carries `payload`.
    pub fn seal(&self, kind: TokenKind, issued: Timestamp, payload: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD_AT + payload.len() + MAC_BYTES);
        bytes.push(kind as u8);
        bytes.extend_from_slice(&issued.0.to_be_bytes());
        bytes.extend_from_slice(payload);
        let mut mac = self.mac.clone();
        mac.update(&bytes);
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        STANDARD.encode(&bytes)
    }

    /// What a token carries, whatever its age. Quotes around it, which shells and scripts leave
    /// there, are ignored as AWS ignores them.
    pub fn open(&self, kind: TokenKind, text: &str) -> Result<Opened, ForeignToken> {
        let bytes = STANDARD.decode(text.trim_matches('"')).map_err(|_| ForeignToken)?;
        let signed_bytes = bytes.len().checked_sub(MAC_BYTES).ok_or(ForeignToken)?;
        let (signed, stored_mac) = bytes.split_at(signed_bytes);
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac.verify_slice(stored_mac).map_err(|_| ForeignToken)?;
        if signed.first() != Some(&(kind as u8)) {
            return Err(ForeignToken);
        }
        let issued = be_i64(signed, ISSUED_AT).ok_or(ForeignToken)?;
        let payload = signed.get(PAYLOAD_AT..).ok_or(ForeignToken)?.to_vec();
        Ok(Opened { issued: Timestamp(issued), payload })
    }
}

/// A place in a shard: the content of a shard iterator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardPosition {
    /// The stream.
    pub topic: TopicId,
    /// The shard.
    pub shard: ShardId,
    /// The next offset to read in the shard's partition.
    pub offset: Offset,
}

impl ShardPosition {
    /// The iterator for this place.
    pub fn seal(self, tokens: &Tokens, now: Timestamp) -> String {
        let mut payload = Vec::with_capacity(28);
        payload.extend_from_slice(&self.topic.to_bytes());
        payload.extend_from_slice(&self.shard.0.to_be_bytes());
        payload.extend_from_slice(&self.offset.0.to_be_bytes());
        tokens.seal(TokenKind::ShardIterator, now, &payload)
    }

    /// The place of an iterator, unless it is foreign or expired.
    pub fn open(tokens: &Tokens, text: &str, now: Timestamp) -> Result<ShardPosition, ApiError> {
        let foreign = || ApiError::invalid_argument("Invalid ShardIterator.");
        let opened =
            tokens.open(TokenKind::ShardIterator, text).map_err(|ForeignToken| foreign())?;
        let position = Self::decode(&opened.payload).ok_or_else(foreign)?;
        if opened.is_expired(now) {
            return Err(ApiError::new(
                ErrorKind::ExpiredIterator,
                format!(
                    "Iterator expired. The iterator was created at time {} while right now it is \
                     {} which is further in the future than the tolerated delay of {VALID_MS} \
                     milliseconds.",
                    calendar::java_date(opened.issued),
                    calendar::java_date(now),
                ),
            ));
        }
        Ok(position)
    }

    fn decode(payload: &[u8]) -> Option<ShardPosition> {
        let topic = payload.get(..16)?.try_into().ok()?;
        let shard = payload.get(16..20)?.try_into().ok()?;
        if payload.len() != 28 {
            return None;
        }
        Some(ShardPosition {
            topic: TopicId(u128::from_be_bytes(topic)),
            shard: ShardId(u32::from_be_bytes(shard)),
            offset: Offset(be_i64(payload, 20)?),
        })
    }
}

/// The big-endian number at `at`.
pub fn be_i64(bytes: &[u8], at: usize) -> Option<i64> {
    let digits = bytes.get(at..at.checked_add(8)?)?;
    Some(i64::from_be_bytes(digits.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_226_825_211);

    fn tokens() -> Tokens {
        Tokens::new(&[7; 32])
    }

    fn position() -> ShardPosition {
        ShardPosition { topic: TopicId(u128::MAX / 3), shard: ShardId(5), offset: Offset(1 << 40) }
    }

    #[test]
    fn an_iterator_comes_back_within_512_characters() {
        let text = position().seal(&tokens(), NOW);
        assert!(text.len() <= 512, "{text}");
        assert_eq!(ShardPosition::open(&tokens(), &text, NOW), Ok(position()));
        assert_eq!(ShardPosition::open(&tokens(), &format!("\"{text}\""), NOW), Ok(position()));
    }

    #[test]
    fn a_changed_foreign_or_misused_token_is_refused() {
        let text = position().seal(&tokens(), NOW);
        let mut bytes = STANDARD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            let changed = STANDARD.encode(&bytes);
            let error = ShardPosition::open(&tokens(), &changed, NOW).unwrap_err();
            assert_eq!(error.message, "Invalid ShardIterator.", "byte {place}");
            bytes[place] ^= 1;
        }
        let elsewhere = Tokens::new(&[8; 32]);
        assert!(ShardPosition::open(&elsewhere, &text, NOW).is_err());
        let page = tokens().seal(TokenKind::ShardsPage, NOW, &[0; 28]);
        assert!(ShardPosition::open(&tokens(), &page, NOW).is_err());
        for junk in ["", "x", "AAAA", "\"\"", &"A".repeat(512)] {
            assert!(ShardPosition::open(&tokens(), junk, NOW).is_err(), "{junk}");
        }
    }

    #[test]
    fn an_iterator_expires_after_five_minutes() {
        let text = position().seal(&tokens(), NOW);
        let at = |ms| ShardPosition::open(&tokens(), &text, Timestamp(NOW.0 + ms));
        assert!(at(300_000).is_ok());
        let error = at(300_001).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ExpiredIterator);
        assert_eq!(
            error.message,
            "Iterator expired. The iterator was created at time Sat Nov 21 02:07:05 UTC 2026 \
             while right now it is Sat Nov 21 02:12:05 UTC 2026 which is further in the future \
             than the tolerated delay of 300000 milliseconds."
        );
    }
}
