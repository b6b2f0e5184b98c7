//! Where the TLS door's certificate comes from: files, or one that is made here and kept.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use http_door::{TlsError, TlsIdentity};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

const CERTIFICATE_FILE: &str = "certificate.pem";
const KEY_FILE: &str = "key.pem";
/// What a certificate that is made here is good for, besides the address listened on.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// How long it is good.
const VALID_DAYS: i64 = 3650;
/// Clocks of clients may be behind.
const VALID_BEFORE_DAYS: i64 = 1;

/// Where a certificate and its key come from.
#[derive(Debug, Clone)]
pub enum TlsSource {
    /// Two PEM files.
    Files {
        /// The certificate, and behind it those that vouch for it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// One that vouches for itself, made at the first start and kept.
    SelfSigned {
        /// The folder that keeps it; made if missing.
        directory: PathBuf,
        /// The names and addresses that it is good for, besides the local ones.
        names: Vec<String>,
    },
}

/// Why there is no certificate to show.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files do not say what they should.
    #[error("{certificate} and {key}: {source}")]
    Content {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: TlsError,
    },
    /// A self-signed certificate cannot be made.
    #[error("a self-signed certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// It cannot be kept.
    #[error("the self-signed certificate cannot be kept in {path}: {source}")]
    Keep {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TlsSource {
    /// The certificate and key; made and kept first, if that was asked and there are none.
    pub(crate) fn identity(&self) -> Result<TlsIdentity, IdentityError> {
        match self {
            TlsSource::Files { certificate, key } => from_files(certificate, key),
            TlsSource::SelfSigned { directory, names } => {
                let (certificate, key) =
                    (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE));
                if !certificate.exists() {
                    make(directory, names)?;
                    tracing::info!(
                        certificate = %certificate.display(),
                        "made a self-signed certificate, which clients have to be told to trust"
                    );
                }
                from_files(&certificate, &key)
            }
        }
    }
}

fn from_files(certificate: &Path, key: &Path) -> Result<TlsIdentity, IdentityError> {
    let read = |path: &Path| {
        fs::read(path).map_err(|source| IdentityError::Read { path: path.to_owned(), source })
    };
    TlsIdentity::from_pem(&read(certificate)?, &read(key)?).map_err(|source| {
        IdentityError::Content { certificate: certificate.to_owned(), key: key.to_owned(), source }
    })
}

fn make(directory: &Path, names: &[String]) -> Result<(), IdentityError> {
    let mut all: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
    all.extend(names.iter().filter(|name| !LOCAL_NAMES.contains(&name.as_str())).cloned());
    let mut params = CertificateParams::new(all)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "thalweg, self-signed");
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(VALID_BEFORE_DAYS);
    params.not_after = now + Duration::days(VALID_DAYS);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;

    let keep = |path: &Path| {
        let path = path.to_owned();
        move |source| IdentityError::Keep { path, source }
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(keep(directory))?;
    // The certificate last: where there is one, there is its key.
    for (name, text, mode) in
        [(KEY_FILE, key.serialize_pem(), 0o600), (CERTIFICATE_FILE, certificate.pem(), 0o644)]
    {
        let path = directory.join(name);
        write_whole(&path, &text, mode).map_err(keep(&path))?;
    }
    Ok(())
}

/// Writes a file that is there whole or not at all.
fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_self_signed_certificate_is_made_once_and_its_key_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("tls");
        let source =
            TlsSource::SelfSigned { directory: directory.clone(), names: vec!["10.1.2.3".into()] };
        source.identity().unwrap();
        let made = fs::read(directory.join(CERTIFICATE_FILE)).unwrap();
        source.identity().unwrap();
        assert_eq!(fs::read(directory.join(CERTIFICATE_FILE)).unwrap(), made);
        let key = fs::metadata(directory.join(KEY_FILE)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_wrong_with_the_files_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let make_one = |name: &str| {
            let directory = folder.path().join(name);
            make(&directory, &[]).unwrap();
            (directory.join(CERTIFICATE_FILE), directory.join(KEY_FILE))
        };
        let ((certificate, key), (_, foreign_key)) = (make_one("a"), make_one("b"));
        let said = |certificate: &Path, key: &Path| {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            TlsSource::Files { certificate, key }.identity().unwrap_err().to_string()
        };
        assert!(said(&folder.path().join("none"), &key).contains("none cannot be read"));
        assert!(said(&key, &certificate).contains("no PEM file with a certificate"));
        assert!(said(&certificate, &foreign_key).contains("cannot be used"));
        TlsSource::Files { certificate, key }.identity().unwrap();
    }
}
