//! The listener for operators.

use std::net::SocketAddr;

use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::findings::Findings;
use super::problem::Problem;
use super::secrets;
use super::server::addresses;
use super::values::{OneOrMany, Price, Secret};

/// `[admin]` as written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    /// Address and port, or a list of them. Default `"127.0.0.1:9090"`.
    listen: Option<OneOrMany>,
    /// What changing calls must show (`Authorization: Bearer …`). Without one they are off.
    token: Option<Secret>,
    /// A file that holds the token, instead of `token`.
    token_file: Option<String>,
    /// What the storage asks for what is read from it, such as `"0.09 USD/GB"`: the page then also
    /// says in money what the cache saves. Default: none.
    egress_price: Option<Price>,
}

/// The listener for operators.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where; never empty.
    pub listen: Vec<SocketAddr>,
    /// What changing calls must show; without one they are off.
    pub token: Option<SecretString>,
    /// What is paid for what is read from origins, where that is known.
    pub egress_price: Option<Price>,
}

impl Admin {
    /// Whether the token is the same.
    pub(super) fn has_token_of(&self, other: &Self) -> bool {
        let text = |admin: &Self| {
            admin
                .token
                .as_ref()
                .map(|token| token.expose_secret().to_owned())
        };
        text(self) == text(other)
    }
}

pub(super) fn check(raw: RawAdmin, findings: &mut Findings) -> Admin {
    let listen = match &raw.listen {
        Some(listen) => addresses("admin.listen", listen, "127.0.0.1:9090", findings),
        None => vec![SocketAddr::from(([127, 0, 0, 1], 9090))],
    };
    let written = raw.token.is_some() || raw.token_file.is_some();
    let token = secrets::read("admin.token", raw.token, raw.token_file, findings);
    if let Some(open) = listen.iter().find(|address| !address.ip().is_loopback())
        && !written
    {
        findings.warn(
            Problem::new(
                "admin.listen",
                "the admin listener can be reached from other machines and has no token, so its changing calls are off",
                "set admin.token_file, or listen on 127.0.0.1",
            )
            .with_value(open.to_string()),
        );
    }
    Admin {
        listen,
        token,
        egress_price: raw.egress_price,
    }
}
