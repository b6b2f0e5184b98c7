//! Signatures of requests: AWS's Signature Version 4, in the `Authorization` header or the query.
//!
//! Who asks, when and for what scope is looked at before the body is read ([`Signatures::claim`]);
//! the signature itself covers the body (`Claim::check`). The body's hash is always made here:
//! what `x-amz-content-sha256` says is signed like any header and believed no further, so a body
//! that was left out of the signature (`UNSIGNED-PAYLOAD`) is refused.
//!
//! Errors and their words are AWS's, as public records of its answers show them. Source of the
//! algorithm: "Signature Version 4 signing process" in AWS's General Reference.

mod canonical;
mod claim;
mod credentials;
mod refusal;
mod region;

#[cfg(test)]
mod tests;

pub(crate) use claim::Signatures;
pub use credentials::{Credentials, CredentialsError};
pub(crate) use region::region;

/// The one algorithm that is served.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// What a credential's scope ends with.
const TERMINATOR: &str = "aws4_request";
