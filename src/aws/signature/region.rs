//! The region that a request was signed for, which ARNs show; read whether the signature is checked
//! or not.

use hyper::{HeaderMap, Uri};

use super::canonical;

/// The longest name of a region that is believed.
const REGION_BYTES_MAX: usize = 32;

/// The region in the credential scope, `KEY/20261121/us-east-1/kinesis/aws4_request`, of the
/// `Authorization` header or the query.
pub(crate) fn region(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match header.and_then(|header| header.split_once("Credential=")) {
        Some((_, credential)) => credential.to_owned(),
        None => {
            let mut parameters = canonical::parameters(uri.query());
            let (_, value) = parameters.find(|(name, _)| name == b"X-Amz-Credential")?;
            String::from_utf8(value).ok()?
        }
    };
    let scope = credential.split([',', ' ']).next()?;
    // A key may hold slashes, so the parts are counted from the end.
    let region = scope.rsplit('/').nth(2)?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_region = !region.is_empty() && region.len() <= REGION_BYTES_MAX;
    (is_region && region.bytes().all(legal)).then(|| region.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_that_of_the_credential_scope() {
        for (header, expect) in [
            (
                "AWS4-HMAC-SHA256 Credential=AK/20261121/eu-west-1/kinesis/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=00",
                Some("eu-west-1"),
            ),
            ("AWS4-HMAC-SHA256 Credential=AK/20261121//kinesis/aws4_request, Signature=0", None),
            ("AWS4-HMAC-SHA256 Credential=AK/x/US<script>/kinesis/aws4_request", None),
            ("AWS4-HMAC-SHA256 Credential=AK", None),
            ("Bearer x", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", header.parse().unwrap());
            let told = region(&Uri::from_static("/"), &headers);
            assert_eq!(told.as_deref(), expect, "{header}");
        }
        let uri =
            Uri::from_static("/?X-Amz-Credential=AK%2F20261121%2Fus-west-2%2Fk%2Faws4_request");
        assert_eq!(region(&uri, &HeaderMap::new()).as_deref(), Some("us-west-2"));
    }
}
