//! What is shown to an authority while a name is proven: a text over plain HTTP (HTTP-01, RFC 8555
//! section 8.3), or a certificate of its own in the TLS handshake (TLS-ALPN-01, RFC 8737).
//!
//! Each is taken away when its order is over, however that ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::authority::Failure;

/// What an authority speaks in a handshake that is a challenge.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Those of the moment.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<Laid>);

#[derive(Debug, Default)]
struct Laid {
    texts: HashMap<String, Bytes>,
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

impl Proofs {
    /// What is answered to a token.
    pub(crate) fn text(&self, token: &str) -> Option<Bytes> {
        self.laid().texts.get(token).cloned()
    }

    /// What is shown to an authority that asks for a host.
    pub(crate) fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.laid().certificates.get(host).cloned()
    }

    pub(super) fn lay_text(self: &Arc<Self>, token: &str, text: &str) -> Proof {
        let text = Bytes::copy_from_slice(text.as_bytes());
        self.laid().texts.insert(token.to_owned(), text);
        Proof {
            proofs: Arc::clone(self),
            name: token.to_owned(),
        }
    }

    pub(super) fn lay_certificate(
        self: &Arc<Self>,
        host: &str,
        digest: &[u8],
    ) -> Result<Proof, Failure> {
        let certificate =
            proving(host, digest).map_err(|_| Failure::own("no certificate can be made"))?;
        let host = host.to_owned();
        self.laid()
            .certificates
            .insert(host.clone(), Arc::new(certificate));
        Ok(Proof {
            proofs: Arc::clone(self),
            name: host,
        })
    }

    fn laid(&self) -> MutexGuard<'_, Laid> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn proving(host: &str, digest: &[u8]) -> anyhow::Result<CertifiedKey> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    // Not by what checks that both fit: it refuses the extension, which is critical.
    let key = aws_lc_rs::sign::any_supported_type(&key)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// Laid for as long as this lives.
pub(super) struct Proof {
    proofs: Arc<Proofs>,
    name: String,
}

impl Drop for Proof {
    fn drop(&mut self) {
        let mut laid = self.proofs.laid();
        laid.texts.remove(&self.name);
        laid.certificates.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_is_gone_with_its_order() {
        let proofs = Arc::new(Proofs::default());
        let text = proofs.lay_text("token", "token.thumbprint");
        let certificate = proofs.lay_certificate("media.test", &[7; 32]).unwrap();
        assert_eq!(proofs.text("token").unwrap(), "token.thumbprint");
        assert!(proofs.certificate("media.test").is_some());
        assert!(proofs.text("other").is_none() && proofs.certificate("other.test").is_none());
        drop((text, certificate));
        assert!(proofs.text("token").is_none() && proofs.certificate("media.test").is_none());
    }
}
