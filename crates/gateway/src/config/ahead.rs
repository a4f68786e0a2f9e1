//! What the configuration may ask for and this version does not do.
//!
//! Nothing that an operator wrote is ignored in silence: what would leave viewers without service
//! is refused when serving begins.

use super::findings::Findings;
use super::problem::Problem;
use super::{Config, tls};

/// What is asked for and not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotYet {
    /// `serve` must not start with these.
    pub refused: Vec<Problem>,
}

pub(super) fn look(config: &Config, findings: &Findings) -> NotYet {
    let mut not_yet = NotYet::default();
    if let Some(tls) = &config.server.tls {
        let path = match tls.certificates {
            tls::Certificates::Files(_) => "server.tls",
            tls::Certificates::Acme(_) => "server.tls.acme",
        };
        not_yet.refused.push(findings.placed(Problem::new(
            path,
            "not in this version: HTTPS does not end here yet",
            "remove [server.tls] and put a proxy such as nginx or Caddy in front",
        )));
    }
    not_yet
}
