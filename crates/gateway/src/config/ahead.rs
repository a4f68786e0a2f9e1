//! What the configuration may ask for and this version does not do.
//!
//! Nothing that an operator wrote is ignored in silence: what would leave viewers without service
//! is refused when serving begins.

use super::findings::Findings;
use super::problem::Problem;
use super::{Certificates, Config};

/// What is asked for and not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotYet {
    /// `serve` must not start with these.
    pub refused: Vec<Problem>,
}

pub(super) fn look(config: &Config, findings: &Findings) -> NotYet {
    let mut not_yet = NotYet::default();
    let tls = config.server.tls.as_ref();
    if tls.is_some_and(|tls| matches!(tls.certificates, Certificates::Acme(_))) {
        not_yet.refused.push(findings.placed(Problem::new(
            "server.tls.acme",
            "not in this version: the gateway does not fetch certificates yet",
            "let another program fetch them, such as certbot with server.acme_webroot, and name the files in certificate and private_key",
        )));
    }
    not_yet
}
