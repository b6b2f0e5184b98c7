//! Signatures as AWS publishes them, and everything that is wrong with others.

use hyper::{Request, Uri, http::request::Parts};
use proptest::prelude::*;
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{claim::Signatures, credentials};
use crate::fault::Fault;

/// The time, key and host of AWS's published test suite.
const NOW: OffsetDateTime = datetime!(2015-08-30 12:36:00 UTC);
const KEYS: &str = "[suite]\naws_access_key_id = AKIDEXAMPLE\n\
                    aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n\
                    [session]\naws_access_key_id = AK/2\naws_secret_access_key = s\n\
                    aws_session_token = T\n";
const SCOPE: &str = "20150830/us-east-1/service/aws4_request";
/// What the suite gives for POST without a body, parameters and other headers.
const POST_VANILLA: &str = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b";
const GET_VANILLA: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn authorization(credential: &str, signed: &str, signature: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    )
}

/// A request of the suite, signed.
fn vanilla(method: &str, signature: &str) -> Parts {
    let credential = format!("AKIDEXAMPLE/{SCOPE}");
    let authorization = authorization(&credential, "host;x-amz-date", signature);
    let headers = [
        ("host", "example.amazonaws.com"),
        ("x-amz-date", "20150830T123600Z"),
        ("authorization", &authorization),
    ];
    head(method, "/", &headers)
}

fn check_at(head: &Parts, body: &[u8], now: OffsetDateTime) -> Result<(), Fault> {
    let signatures = Signatures::new(credentials::parse(KEYS).unwrap());
    signatures.claim(head, "service", now)?.check(body)
}

fn check(head: &Parts) -> Result<(), Fault> {
    check_at(head, b"", NOW)
}

/// The error's name and text.
fn refusal(checked: Result<(), Fault>) -> (&'static str, String) {
    let fault = checked.unwrap_err();
    assert_eq!(fault.status, 400);
    (fault.code, fault.message.unwrap().into_owned())
}

#[test]
fn requests_of_awss_own_test_suite_are_believed() {
    check(&vanilla("POST", POST_VANILLA)).unwrap();
    check(&vanilla("GET", GET_VANILLA)).unwrap();
}

#[test]
fn whatever_is_changed_behind_the_signature_shows() {
    let mut changed_header = vanilla("POST", POST_VANILLA);
    changed_header.headers.insert("host", "example.amazonaws.org".parse().unwrap());
    let last_digit = POST_VANILLA.replace("5d6b", "5d6c");
    for (head, body) in [
        (vanilla("POST", GET_VANILLA), &b""[..]),
        (vanilla("POST", &last_digit), b""),
        (vanilla("POST", "no digits"), b""),
        (vanilla("POST", &POST_VANILLA[..62]), b""),
        (vanilla("POST", POST_VANILLA), b"x"),
        (changed_header, b""),
    ] {
        let (code, message) = refusal(check_at(&head, body, NOW));
        assert_eq!(code, "InvalidSignatureException");
        assert!(message.starts_with("The request signature we calculated does not match"));
        assert!(message.contains("The Canonical String for this request should have been\n'"));
    }
    let (_, message) = refusal(check(&vanilla("POST", GET_VANILLA)));
    let canonical = "'POST\n/\n\nhost:example.amazonaws.com\nx-amz-date:20150830T123600Z\n\n\
                     host;x-amz-date\n\
                     e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'";
    assert!(message.contains(canonical), "{message}");
    let to_sign = format!("'AWS4-HMAC-SHA256\n20150830T123600Z\n{SCOPE}\n");
    assert!(message.contains(&to_sign), "{message}");
}

#[test]
fn an_unsigned_request_is_told_so() {
    let no_signature = head("POST", "/", &[("host", "h")]);
    let another_scheme = head("POST", "/", &[("host", "h"), ("authorization", "Bearer x")]);
    for head in [no_signature, another_scheme] {
        let said = refusal(check(&head));
        let expect = ("MissingAuthenticationTokenException", "Missing Authentication Token");
        assert_eq!((said.0, &said.1[..]), expect);
    }
}

#[test]
fn what_a_signature_lacks_is_listed() {
    let bare = head("POST", "/", &[("authorization", "AWS4-HMAC-SHA256 nothing")]);
    let (code, message) = refusal(check(&bare));
    assert_eq!(code, "IncompleteSignatureException");
    assert!(
        message.starts_with(
            "Authorization header requires 'Credential' parameter. Authorization header requires \
             'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. \
             Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
             (Hashed with SHA-256 and encoded with Base64) Authorization="
        ),
        "{message}"
    );
    let date = "X-Amz-Date=20150830T123600Z";
    let query = head("POST", &format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{date}"), &[]);
    let (code, message) = refusal(check(&query));
    assert_eq!(code, "IncompleteSignatureException");
    assert_eq!(
        message,
        "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters \
         must include 'X-Amz-Signature'. AWS query-string parameters must include \
         'X-Amz-SignedHeaders'. Re-examine the query-string parameters."
    );
}

#[test]
fn a_malformed_or_foreign_claim_is_refused_with_its_reason() {
    let with = |credential: &str, signed: &str, more: &[(&str, &str)]| {
        let authorization = authorization(credential, signed, POST_VANILLA);
        let mut headers = vec![
            ("host", "example.amazonaws.com"),
            ("x-amz-date", "20150830T123600Z"),
            ("authorization", &authorization),
        ];
        headers.extend_from_slice(more);
        refusal(check(&head("POST", "/", &headers)))
    };
    let (known, signed) = (format!("AKIDEXAMPLE/{SCOPE}"), "host;x-amz-date");
    let in_scope = |scope: &str| format!("AKIDEXAMPLE/{scope}");
    let invalid = "InvalidSignatureException";
    for (told, code, text) in [
        (
            with("AKIDEXAMPLE/x", signed, &[]),
            "IncompleteSignatureException",
            "exactly 5 slash-delim",
        ),
        (
            with(&in_scope("20150830/us-east-1/service/aws5"), signed, &[]),
            "IncompleteSignatureException",
            "valid terminator: 'aws4_request', not 'aws5'",
        ),
        (
            with(&format!("AKIDOTHER/{SCOPE}"), signed, &[]),
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        (
            with(&in_scope("20150829/us-east-1/service/aws4_request"), signed, &[]),
            invalid,
            "'20150829' != '20150830', from '20150830T123600Z'.",
        ),
        (
            with(&in_scope("20150830/us-east-1/s3/aws4_request"), signed, &[]),
            invalid,
            "scoped to correct service: 'service'.",
        ),
        (with(&known, "x-amz-date", &[]), invalid, "'Host' or ':authority' must be"),
        (with(&known, "host", &[]), invalid, "'x-amz-date' must be a 'SignedHeader'"),
        (
            with(&known, signed, &[("x-amz-target", "Service.Op")]),
            invalid,
            "'x-amz-target' must be a 'SignedHeader'",
        ),
        // A token where the file has none, and the other way round.
        (
            with(&known, signed, &[("x-amz-security-token", "T")]),
            "UnrecognizedClientException",
            "security token",
        ),
        (
            with(&format!("AK/2/{SCOPE}"), signed, &[]),
            "UnrecognizedClientException",
            "security token",
        ),
        (
            with(&format!("AK/2/{SCOPE}"), signed, &[("x-amz-security-token", "U")]),
            "UnrecognizedClientException",
            "security token",
        ),
        (
            with(&format!("AK/2/{SCOPE}"), signed, &[("x-amz-security-token", "T")]),
            invalid,
            "'x-amz-security-token' must be",
        ),
    ] {
        assert!(told.0 == code && told.1.contains(text), "{code} {text}: {told:?}");
    }
    let mut both = vanilla("POST", POST_VANILLA);
    both.uri = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256".parse().unwrap();
    assert!(refusal(check(&both)).1.starts_with("Found both 'X-Amz-Algorithm'"));
    let other = head("POST", "/", &[("authorization", "AWS4-ECDSA-P256-SHA256 Credential=x")]);
    assert!(refusal(check(&other)).1.contains("Unsupported AWS 'algorithm'"));
}

#[test]
fn a_clock_may_be_off_by_fifteen_minutes() {
    let head = vanilla("POST", POST_VANILLA);
    let off = |seconds| check_at(&head, b"", NOW + Duration::seconds(seconds));
    off(-15 * 60).unwrap();
    off(15 * 60).unwrap();
    let (code, message) = refusal(off(15 * 60 + 1));
    assert_eq!(code, "InvalidSignatureException");
    assert_eq!(
        message,
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
         (20150830T125101Z - 15 min.)"
    );
    let (code, message) = refusal(off(-15 * 60 - 1));
    assert_eq!(code, "InvalidSignatureException");
    assert_eq!(
        message,
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
         (20150830T122059Z + 15 min.)"
    );
}

#[test]
fn a_signature_in_the_query_is_good_until_it_expires() {
    let uri = format!(
        "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F{}&X-Amz-Date=\
         20150830T123600Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=\
         2ce6e6d2e0cf2f9d1b55fafec88cd20574c31dc2e7631979f71ba2310083e95b",
        SCOPE.replace('/', "%2F")
    );
    let head = head("POST", &uri, &[("host", "example.amazonaws.com")]);
    check_at(&head, b"", NOW + Duration::minutes(59)).unwrap();
    let (code, message) = refusal(check_at(&head, b"", NOW + Duration::minutes(61)));
    assert_eq!(code, "InvalidSignatureException");
    assert_eq!(message, "Signature expired: 20150830T133600Z is now earlier than 20150830T133700Z");
    assert!(refusal(check_at(&head, b"other", NOW)).1.contains("does not match"));
}

proptest! {
    #[test]
    fn whatever_a_claim_says_it_is_refused_and_no_more(
        scope in "(AKIDEXAMPLE/20150830/us-east-1/service/aws4_request|[ -~]{0,80})",
        rest in "[ -~]{0,80}",
        date in "(20150830T123600Z|[0-9]{8}T[0-9]{6}Z|[ -~]{0,30})",
        signature in "([0-9a-f]{64}|[ -~]{0,70})",
    ) {
        let authorization = authorization(&scope, &format!("host;x-amz-date{rest}"), &signature);
        let headers = [("host", "h"), ("x-amz-date", &date), ("authorization", &authorization)];
        prop_assert!(check(&head("POST", "/", &headers)).is_err());
    }

    #[test]
    fn whatever_a_query_says_it_is_refused_and_no_more(
        parameters in prop::collection::vec(
            ("(Credential|Signature|SignedHeaders|Date|Expires|Security-Token|[a-z%0-9]{0,9})", "[a-zA-Z0-9%+/=._-]{0,80}"),
            0..8,
        ),
    ) {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("&X-Amz-{name}={value}")).collect();
        let uri = format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256{}", parameters.concat());
        if uri.parse::<Uri>().is_ok() {
            prop_assert!(check(&head("POST", &uri, &[("host", "h")])).is_err());
        }
    }
}
