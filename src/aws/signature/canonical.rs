//! The canonical request: what a signature covers, in one form whoever writes it.

use std::fmt::Write as _;

use hyper::{HeaderMap, Method, Uri, header::HOST};
use sha2::{Digest, Sha256};

/// The parameter of the query that is the signature, and so is not covered by it.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// The canonical request.
pub(super) fn request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    signed_headers: &[String],
    body: &[u8],
) -> String {
    let mut text = format!("{method}\n{}\n{}\n", path(uri.path()), query(uri.query()));
    for name in signed_headers {
        let _ = writeln!(text, "{name}:{}", header(name, uri, headers));
    }
    let _ = write!(text, "\n{}\n{}", signed_headers.join(";"), hash(body));
    text
}

/// A SHA-256 in lower-case hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Without empty and dotted segments, and encoded once more, as all services but S3 want it.
fn path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let encoded: Vec<String> = segments.iter().map(|segment| encode(segment.as_bytes())).collect();
    let directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let end = if directory && !encoded.is_empty() { "/" } else { "" };
    format!("/{}{end}", encoded.join("/"))
}

/// All parameters but the signature, encoded alike, in order.
fn query(query: Option<&str>) -> String {
    let mut found: Vec<(String, String)> = parameters(query)
        .map(|(name, value)| (encode(&name), encode(&value)))
        .filter(|(name, _)| name != SIGNATURE_PARAMETER)
        .collect();
    found.sort();
    let pairs: Vec<String> =
        found.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// The query's parameters, decoded.
pub(super) fn parameters(query: Option<&str>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    })
}

/// Every byte but the unreserved ones of RFC 3986 as `%XX`.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// `%XX` as the byte; what is no such thing stays.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut left = text.as_bytes();
    while let Some((&first, rest)) = left.split_first() {
        left = rest;
        match (first, digit(rest.first()), digit(rest.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                left = rest.get(2..).unwrap_or_default();
            }
            _ => bytes.push(first),
        }
    }
    bytes
}

/// A header's values, without blanks around them and with single ones within.
fn header(name: &str, uri: &Uri, headers: &HeaderMap) -> String {
    let values: Vec<String> = headers.get_all(name).iter().map(|v| plain(v.as_bytes())).collect();
    // Over HTTP/2 the host is the authority of the URI.
    match uri.authority() {
        Some(authority) if values.is_empty() && name == HOST.as_str() => authority.to_string(),
        _ => values.join(","),
    }
}

fn plain(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normal_and_encoded_twice() {
        for (given, expect) in [
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/./a", "/a"),
            ("//a//", "/a/"),
            ("/a/b/..", "/a/"),
            ("/-._~0Az", "/-._~0Az"),
            ("/a%20b", "/a%2520b"),
        ] {
            assert_eq!(path(given), expect, "{given}");
        }
    }

    #[test]
    fn parameters_are_decoded_encoded_alike_and_sorted() {
        for (given, expect) in [
            (None, ""),
            (Some("b=2&a=1"), "a=1&b=2"),
            (Some("a=b&a=a&A="), "A=&a=a&a=b"),
            (Some("flag"), "flag="),
            (Some("a=%7e%2f/+"), "a=~%2F%2F%2B"),
            (Some("a=%zz&X-Amz-Signature=0"), "a=%25zz"),
        ] {
            assert_eq!(query(given), expect, "{given:?}");
        }
    }

    #[test]
    fn values_of_headers_have_single_blanks_and_commas_between_them() {
        let uri: Uri = "http://host:81/".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.append("my-header", "  a   b ".parse().unwrap());
        headers.append("my-header", "c".parse().unwrap());
        assert_eq!(header("my-header", &uri, &headers), "a b,c");
        assert_eq!(header("host", &uri, &headers), "host:81");
        headers.append("host", "other".parse().unwrap());
        assert_eq!(header("host", &uri, &headers), "other");
    }
}
