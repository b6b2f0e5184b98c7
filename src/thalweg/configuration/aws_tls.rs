//! The AWS door's TLS: three ways to say too little, and two to say too much.

use std::{net::SocketAddr, path::PathBuf};

use thiserror::Error;

use super::{ConfigurationError, resolve};

/// The AWS door with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsTls {
    /// Where clients connect; never port 0.
    pub listen: SocketAddr,
    /// The host as it was written, which a certificate can name.
    pub host: String,
    /// What they are shown.
    pub certificate: Certificate,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files.
    Files {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// Made here, and kept in the data directory.
    SelfSigned,
}

/// Settings that do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AwsTlsError {
    /// No certificate.
    #[error(
        "aws-tls-listen needs a certificate: give aws-tls-certificate and aws-tls-key, or say \
         aws-tls-self-signed"
    )]
    NoCertificate,
    /// Half of a pair.
    #[error("aws-tls-certificate and aws-tls-key need each other")]
    HalfAPair,
    /// Two certificates.
    #[error("aws-tls-self-signed and aws-tls-certificate exclude each other")]
    TwoCertificates,
    /// A certificate without a door.
    #[error("a certificate for TLS is of no use without aws-tls-listen: say where")]
    NoListener,
}

/// What was said.
pub(super) struct AwsTlsSettings {
    pub listen: Option<String>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub self_signed: bool,
}

impl AwsTls {
    /// From what was said, which may be nothing.
    pub(super) fn from_settings(
        said: AwsTlsSettings,
    ) -> Result<Option<AwsTls>, ConfigurationError> {
        let certificate = match (said.certificate, said.key, said.self_signed) {
            (None, None, false) => None,
            (None, None, true) => Some(Certificate::SelfSigned),
            (Some(certificate), Some(key), false) => Some(Certificate::Files { certificate, key }),
            (Some(_), Some(_), true) => return Err(AwsTlsError::TwoCertificates.into()),
            _ => return Err(AwsTlsError::HalfAPair.into()),
        };
        match (said.listen, certificate) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(AwsTlsError::NoListener.into()),
            (Some(_), None) => Err(AwsTlsError::NoCertificate.into()),
            (Some(text), Some(certificate)) => {
                let listen = resolve("aws-tls-listen", &text)?;
                let host = super::parse_address("aws-tls-listen", &text)?.host;
                Ok(Some(AwsTls { listen, host, certificate }))
            }
        }
    }
}
