//! What is read of a signature that is not checked: the region.

use hyper::HeaderMap;

/// The longest name of a region that is believed.
const REGION_BYTES_MAX: usize = 32;

/// The region in the credential scope of SigV4's `Authorization` header:
/// `AWS4-HMAC-SHA256 Credential=KEY/20261121/us-east-1/kinesis/aws4_request, …`.
pub(crate) fn region(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(hyper::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = header.split_once("Credential=")?;
    let scope = credential.split([',', ' ']).next()?;
    // A key may hold slashes, so the parts are counted from the end.
    let region = scope.rsplit('/').nth(2)?;
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_region = !region.is_empty() && region.len() <= REGION_BYTES_MAX;
    (is_region && region.bytes().all(legal)).then_some(region)
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
            assert_eq!(region(&headers), expect, "{header}");
        }
    }
}
