//! The server's side of TLS.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::config::ServerTls;

/// Returns what accepts TLS. A client without a certificate is let through if it `may_come_without`, and must then show a
/// token.
///
/// # Errors
/// Fails if a file cannot be read or used.
pub(super) fn acceptor(tls: &ServerTls, may_come_without: bool) -> Result<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&tls.certificate).context("[qmaster] tls_certificate")?;
    // The library's error could quote the key.
    let key = PrivateKeyDer::from_pem_file(&tls.key).ok();
    let key = key.with_context(|| format!("[qmaster] tls_key: {}: no unencrypted key in PEM", tls.key.display()))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context("[qmaster] TLS")?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).context("[qmaster] tls_client_ca")? {
                roots.add(certificate).with_context(|| format!("[qmaster] tls_client_ca: {}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if may_come_without { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().context("[qmaster] tls_client_ca")?)
        }
    };
    let config = builder.with_single_cert(chain, key).with_context(|| {
        format!("[qmaster] tls_key: {} is not the key of {}", tls.key.display(), tls.certificate.display())
    })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let shown = || path.display().to_string();
    let all: Vec<_> =
        CertificateDer::pem_file_iter(path).with_context(shown)?.collect::<Result<_, _>>().with_context(shown)?;
    ensure!(!all.is_empty(), "{}: no certificate in it", path.display());
    Ok(all)
}
