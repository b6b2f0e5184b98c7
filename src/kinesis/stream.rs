//! How streams are named: name, ARN, id; and who asks.

use model::{TopicId, TopicName};

use crate::error::{ApiError, ErrorKind};

/// Who asks, as far as answers depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The region in ARNs: that of the signature's credential scope, else the configured one.
    pub region: String,
    /// The account in ARNs and messages, 12 digits.
    pub account: String,
}

impl Caller {
    /// The ARN of the stream `name`.
    pub fn stream_arn(&self, name: &str) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{name}", self.region, self.account)
    }
}

/// The parts of `arn:aws:kinesis:REGION:ACCOUNT:stream/NAME` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamArn<'a> {
    /// 12 digits.
    pub account: &'a str,
    /// The stream's name.
    pub name: &'a str,
}

impl<'a> StreamArn<'a> {
    /// Takes an ARN of any partition (`aws`, `aws-cn`, …) and region.
    pub fn parse(text: &'a str) -> Option<StreamArn<'a>> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (_region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let name = resource.strip_prefix("stream/")?;
        let account_is_legal = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let legal = arn == "arn"
            && partition.starts_with("aws")
            && service == "kinesis"
            && account_is_legal
            && !name.is_empty()
            && !name.contains(char::is_whitespace);
        legal.then_some(StreamArn { account, name })
    }
}

/// The stream that a request names, by name, ARN or both. Both are already validated; what is
/// left to go wrong is that they are missing, disagree, or cannot be the name of any stream.
pub fn named_stream(
    caller: &Caller,
    name: Option<&str>,
    arn: Option<&str>,
) -> Result<TopicName, ApiError> {
    let by_arn = match arn {
        None => None,
        Some(text) => {
            let arn = StreamArn::parse(text)
                .ok_or_else(|| ApiError::invalid_argument(format!("{text} is no stream ARN.")))?;
            if arn.account != caller.account {
                return Err(ApiError::no_stream(arn.name, arn.account));
            }
            Some(arn.name)
        }
    };
    let name = match (name, by_arn) {
        (Some(name), Some(other)) if name != other => {
            return Err(ApiError::invalid_argument(format!(
                "StreamName {name} and StreamARN name different streams."
            )));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => {
            return Err(ApiError::new(
                ErrorKind::InvalidArgument,
                "Either StreamName or StreamARN must be provided.",
            ));
        }
    };
    TopicName::new(name).map_err(|_| ApiError::no_stream(name, &caller.account))
}

/// A topic's id in the form of AWS's stream ids, `[a-z0-9]{20}-[a-z0-9]{3}`: 115 bits of it.
pub fn stream_id(id: TopicId) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(24);
    for place in 0..23_u32 {
        if place == 20 {
            text.push('-');
        }
        let letter = (id.0 >> (123 - 5 * place)) & 31;
        text.push(ALPHABET.get(letter as usize).map_or('a', |&b| char::from(b)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller { region: "us-east-1".into(), account: "000000000000".into() }
    }

    #[test]
    fn an_arn_is_written_and_read_back() {
        let text = caller().stream_arn("orders");
        assert_eq!(text, "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
        let arn = StreamArn::parse(&text).unwrap();
        assert_eq!((arn.account, arn.name), ("000000000000", "orders"));
    }

    #[test]
    fn what_is_no_stream_arn_is_none() {
        for bad in [
            "",
            "orders",
            "arn:aws:s3:us-east-1:000000000000:stream/orders",
            "arn:aws:kinesis:us-east-1:00000000000:stream/orders",
            "arn:aws:kinesis:us-east-1:00000000000x:stream/orders",
            "arn:aws:kinesis:us-east-1:000000000000:stream/",
            "arn:aws:kinesis:us-east-1:000000000000:channel/orders",
        ] {
            assert_eq!(StreamArn::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn name_and_arn_must_agree_and_one_must_be_there() {
        let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream/orders";
        let named = |name, arn| named_stream(&caller(), name, arn).map_err(|e| e.kind);
        let orders = TopicName::new("orders").unwrap();
        assert_eq!(named(Some("orders"), None), Ok(orders.clone()));
        assert_eq!(named(None, Some(arn)), Ok(orders.clone()));
        assert_eq!(named(Some("orders"), Some(arn)), Ok(orders));
        assert_eq!(named(Some("other"), Some(arn)), Err(ErrorKind::InvalidArgument));
        assert_eq!(named(None, None), Err(ErrorKind::InvalidArgument));
        let foreign = "arn:aws:kinesis:eu-west-1:111111111111:stream/orders";
        assert_eq!(named(None, Some(foreign)), Err(ErrorKind::ResourceNotFound));
        assert_eq!(named(Some(".."), None), Err(ErrorKind::ResourceNotFound));
    }

    #[test]
    fn a_stream_id_has_awss_form() {
        let id = stream_id(TopicId(u128::MAX));
        assert_eq!(id, "77777777777777777777-777");
        assert_ne!(stream_id(TopicId(1 << 100)), stream_id(TopicId(1 << 101)));
    }
}
