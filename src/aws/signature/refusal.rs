//! What AWS answers when it does not believe a signature.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// The request is not signed at all.
pub(super) fn missing() -> Fault {
    Fault::new(400, "MissingAuthenticationTokenException", "Missing Authentication Token")
}

/// The `Authorization` header lacks something, or what it says is malformed.
pub(super) fn incomplete_header(what: &str, header: &str) -> Fault {
    let hash = STANDARD.encode(Sha256::digest(header));
    let shown = format!("(Hashed with SHA-256 and encoded with Base64) Authorization={hash}");
    Fault::new(400, "IncompleteSignatureException", format!("{what} {shown}"))
}

/// The query lacks something, or what it says is malformed.
pub(super) fn incomplete_query(what: &str) -> Fault {
    let message = format!("{what} Re-examine the query-string parameters.");
    Fault::new(400, "IncompleteSignatureException", message)
}

/// Nobody here has that key, or the session token is another.
pub(super) fn unknown_client() -> Fault {
    let message = "The security token included in the request is invalid.";
    Fault::new(400, "UnrecognizedClientException", message)
}

/// The signature is not good, for the reason given.
pub(super) fn invalid(message: String) -> Fault {
    Fault::new(400, "InvalidSignatureException", message)
}

/// The signature is another than the one made here, from these.
pub(super) fn mismatch(canonical_request: &str, string_to_sign: &str) -> Fault {
    invalid(format!(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details.\
         \n\nThe Canonical String for this request should have been\n'{canonical_request}'\
         \n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
    ))
}
