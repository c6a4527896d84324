//! Whom an HTTPS client trusts, and who it is: CAs from a file or a hashed folder, a client certificate and its key.

use std::path::PathBuf;

/// The files of a client that needs more than the machine's own CAs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file of CAs, or a folder of them as `/etc/grid-security/certificates` is one; they are trusted instead of the
    /// machine's own.
    pub ca: Option<PathBuf>,
    /// The client's certificate and its chain.
    pub certificate: Option<PathBuf>,
    /// The key of the certificate; by default it stands in the certificate's file, as in a proxy's.
    pub key: Option<PathBuf>,
    /// Whether any certificate of the server will do, so that somebody on the way can read and change everything.
    pub is_unverified: bool,
}

#[cfg(any(feature = "http", feature = "mysql"))]
pub(crate) use keys::install;
#[cfg(feature = "mysql")]
pub(crate) use reading::usable_cas;
#[cfg(feature = "http")]
pub(super) use reading::{cas, identity};

/// The cryptography of the TLS clients: ring's, but for a check of the client's own certificate. Rustls reads that to see whether
/// the key is its key, and refuses what it cannot read, like a grid's proxy (RFC 3820) or a certificate of version 1. Whether it is
/// good is for the server to say.
#[cfg(any(feature = "http", feature = "mysql"))]
mod keys {
    use std::sync::Arc;

    use rustls::crypto::{CryptoProvider, KeyProvider, ring};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::sign::{Signer, SigningKey};
    use rustls::{Error, SignatureAlgorithm, SignatureScheme};

    /// Makes it that of every client of this process.
    pub fn install() {
        // It fails only if it is installed already.
        let _ = CryptoProvider { key_provider: &Keys, ..ring::default_provider() }.install_default();
    }

    #[derive(Debug)]
    struct Keys;

    impl KeyProvider for Keys {
        fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
            Ok(Arc::new(Unpaired(ring::sign::any_supported_type(&key)?)))
        }
    }

    /// A key that does not tell its public half, so that no certificate is read for it.
    #[derive(Debug)]
    struct Unpaired(Arc<dyn SigningKey>);

    impl SigningKey for Unpaired {
        fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            self.0.choose_scheme(offered)
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.0.algorithm()
        }
    }
}

#[cfg(any(feature = "http", feature = "mysql"))]
mod reading {
    use std::fs::{self, File};
    use std::io::Read;
    use std::path::{Path, PathBuf};

    #[cfg(feature = "http")]
    use anyhow::bail;
    use anyhow::{Context, Result, ensure};
    #[cfg(feature = "http")]
    use reqwest::{Certificate, Identity};
    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    #[cfg(feature = "http")]
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    #[cfg(feature = "http")]
    use rustls::{Error, InconsistentKeys, crypto::ring, sign::CertifiedKey};

    #[cfg(feature = "http")]
    use super::Tls;
    #[cfg(feature = "mysql")]
    use crate::text::base64;

    /// The largest file that is read; a bundle of all CAs has 300 kB.
    const LARGEST: u64 = 16 << 20;

    /// Returns the CAs of a file or a folder, without those that the TLS library cannot use: one old CA of a hundred must
    /// not keep the others away.
    ///
    /// # Errors
    /// Fails if none is left, or if the file or folder cannot be read.
    #[cfg(feature = "http")]
    pub fn cas(path: &Path) -> Result<Vec<Certificate>> {
        Ok(usable(path)?.iter().filter_map(|certificate| Certificate::from_der(certificate).ok()).collect())
    }

    /// Returns the same CAs as one text in PEM.
    ///
    /// # Errors
    /// As [`cas`].
    #[cfg(feature = "mysql")]
    pub fn usable_cas(path: &Path) -> Result<String> {
        Ok(usable(path)?.iter().map(|certificate| pem(certificate)).collect())
    }

    /// Returns a certificate in PEM.
    #[cfg(feature = "mysql")]
    fn pem(certificate: &[u8]) -> String {
        let digits = base64(certificate);
        let mut text = String::from("-----BEGIN CERTIFICATE-----");
        // It is ASCII, so that a line may end anywhere.
        for begin in (0..digits.len()).step_by(64) {
            text.push('\n');
            text.push_str(&digits[begin..digits.len().min(begin + 64)]);
        }
        text + "\n-----END CERTIFICATE-----\n"
    }

    fn usable(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
        let shown = path.display();
        let files = if fs::metadata(path).with_context(|| format!("ca {shown}"))?.is_dir() {
            in_folder(path).with_context(|| format!("ca {shown}"))?
        } else {
            vec![path.to_path_buf()]
        };
        let mut usable = Vec::new();
        for file in &files {
            // In a folder a link may lead nowhere, and another CA is there.
            let pem = match read(file) {
                Err(error) if files.len() == 1 => return Err(error).with_context(|| format!("ca {}", file.display())),
                pem => pem.unwrap_or_default(),
            };
            for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
                if RootCertStore::empty().add(certificate.clone()).is_ok() {
                    usable.push(certificate);
                }
            }
        }
        ensure!(!usable.is_empty(), "ca {shown}: no certificate in it");
        Ok(usable)
    }

    /// Returns the files of a folder that hold a CA: `5168735f.0` as OpenSSL finds it, else `*.pem` and `*.crt`.
    fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
        let ends_with = |path: &Path, fits: fn(&str) -> bool| {
            path.extension().and_then(|extension| extension.to_str()).is_some_and(fits)
        };
        let mut all = Vec::new();
        for file in fs::read_dir(folder)? {
            all.push(file?.path());
        }
        all.sort();
        let hashed = |path: &&PathBuf| ends_with(path, |end| end.bytes().all(|byte| byte.is_ascii_digit()));
        let named: fn(&&PathBuf) -> bool =
            |path| path.extension().is_some_and(|extension| extension == "pem" || extension == "crt");
        let found: Vec<_> = all.iter().filter(hashed).cloned().collect();
        Ok(if found.is_empty() { all.iter().filter(named).cloned().collect() } else { found })
    }

    /// Returns the client's certificate with its key; `None` if it needs none.
    ///
    /// # Errors
    /// Fails if one of the two cannot be read, or the TLS library cannot use it.
    #[cfg(feature = "http")]
    pub fn identity(tls: &Tls) -> Result<Option<Identity>> {
        let Some(certificate) = &tls.certificate else { return Ok(None) };
        let mut pem = read(certificate).with_context(|| format!("certificate {}", certificate.display()))?;
        if let Some(key) = &tls.key {
            pem.push(b'\n');
            pem.extend(read(key).with_context(|| format!("key {}", key.display()))?);
        }
        if is_of_other_key(&pem) {
            let key = tls.key.as_ref().unwrap_or(certificate).display();
            bail!("certificate {}: the key in {key} is not its key", certificate.display());
        }
        // The library's error could quote the key.
        let identity = Identity::from_pem(&pem).ok();
        let identity = identity.with_context(|| {
            format!(
                "certificate {}: it and its key are not a PEM certificate and an unencrypted key",
                certificate.display()
            )
        });
        identity.map(Some)
    }

    /// Whether a certificate that can be read is that of another key.
    #[cfg(feature = "http")]
    fn is_of_other_key(pem: &[u8]) -> bool {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).flatten().collect();
        let key = PrivateKeyDer::from_pem_slice(pem).ok().and_then(|key| ring::sign::any_supported_type(&key).ok());
        let matched = key.filter(|_| !chain.is_empty()).map(|key| CertifiedKey::new(chain, key).keys_match());
        matches!(matched, Some(Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch))))
    }

    /// Reads a file, also through a link: a hashed folder of CAs is made of them.
    fn read(path: &Path) -> Result<Vec<u8>> {
        ensure!(fs::metadata(path)?.is_file(), "is no file");
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
