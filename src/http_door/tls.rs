//! TLS: who the server is, and the handshake.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
};

use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
    server::TlsStream,
};

/// What clients may speak inside, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate that cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// No certificate in the file.
    #[error("the certificate is no PEM file with a certificate: {0}")]
    Certificate(pem::Error),
    /// No private key in the file.
    #[error("the key is no PEM file with a private key: {0}")]
    Key(pem::Error),
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate and the key cannot be used: {0}")]
    Pair(rustls::Error),
}

/// A server's certificate and key. Cheap to clone; clones are one and the same.
#[derive(Clone)]
pub struct TlsIdentity {
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsIdentity")
    }
}

impl TlsIdentity {
    /// Out of PEM: a certificate, behind it those that vouch for it, and the first one's key.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<TlsIdentity, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(TlsError::Certificate)?;
        if chain.is_empty() {
            return Err(TlsError::Certificate(pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsError::Key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(TlsIdentity { config: Arc::new(RwLock::new(Arc::new(config))) })
    }

    /// Who connects from now on is shown the other's certificate. Connections that are open stay.
    pub fn replace(&self, other: &TlsIdentity) {
        let config = other.current();
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server's side of a handshake.
    pub(crate) async fn accept(self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current()).accept(socket).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_or_no_key_is_named() {
        let said = |certificate: &[u8], key: &[u8]| {
            TlsIdentity::from_pem(certificate, key).unwrap_err().to_string()
        };
        assert!(said(b"", b"").starts_with("the certificate is no PEM file"));
        let nonsense = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(said(nonsense, b"").starts_with("the key is no PEM file"));
    }
}
