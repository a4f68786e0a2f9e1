//! HTTP to the authority, and what its refusals mean for the operator.
//!
//! Follows no redirect and believes no certificate that it should not. What an authority says is
//! repeated in a bounded length, without what could write a line of its own.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use instant_acme::{
    Account, AccountCredentials, BodyWrapper, BytesResponse, Error, HttpClient, NewAccount,
};
use reqwest::redirect::Policy;

use crate::config::Acme;

/// For one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// A chain is a few kilobytes.
const MAX_BYTES: usize = 1024 * 1024;
/// The most of what an authority says that is repeated, in characters.
const LONGEST_REASON: usize = 400;

/// Why there is no certificate.
#[derive(Debug)]
pub(super) enum Failure {
    /// The authority does not answer, or something here keeps it from being asked. Nothing was
    /// ordered.
    Unreached(String),
    /// A file here cannot be read or written.
    Disk(String),
    /// It has answered, or something here is not as it must be.
    Refused {
        reason: String,
        remedy: &'static str,
        /// The authority says that it was too much.
        limited: bool,
    },
}

impl Failure {
    pub(super) fn own(reason: impl Into<String>) -> Self {
        Self::Refused {
            reason: reason.into(),
            remedy: "look at the lines before this one; it is tried again",
            limited: false,
        }
    }

    /// The error names the file.
    pub(super) fn disk(error: &io::Error) -> Self {
        Self::Disk(error.to_string())
    }

    pub(super) fn slow(after: Duration) -> Self {
        Self::own(format!("the order was not done after {after:?}"))
    }

    pub(super) fn not_offered(by_tls: bool) -> Self {
        let kind = if by_tls { "tls-alpn-01" } else { "http-01" };
        Self::Refused {
            reason: format!("the authority does not offer the challenge {kind}"),
            remedy: "write the other one as server.tls.acme.challenge",
            limited: false,
        }
    }

    /// The same, of an order that was noted: its pause is that of orders.
    pub(super) fn noted(self) -> Self {
        match self {
            Self::Unreached(reason) => Self::own(reason),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error::Api(problem) = &error else {
            return Self::own(printable(&in_words(&error)));
        };
        let kind = problem.r#type.as_deref().unwrap_or_default();
        let kind = kind.rsplit(':').next().unwrap_or_default();
        Self::Refused {
            reason: printable(&problem.to_string()),
            remedy: remedy(kind),
            limited: kind == "rateLimited",
        }
    }
}

fn remedy(kind: &str) -> &'static str {
    match kind {
        "rejectedIdentifier" | "unsupportedIdentifier" | "malformed" => {
            "the authority does not issue for this name: correct it in server.tls.acme.domains or take it out"
        }
        "dns" => "let the name's A and AAAA records lead to this machine",
        "connection" | "tls" | "unauthorized" | "incorrectResponse" => {
            "the authority must reach this gateway by the name: port 80 for http-01, port 443 for tls-alpn-01; look at DNS (AAAA too), the published ports, the firewall and proxies in between"
        }
        "caa" => "let the name's CAA records allow this authority",
        "rateLimited" => "wait; the gateway tries again in hours",
        "invalidContact" | "unsupportedContact" => "correct server.tls.acme.contact",
        "accountDoesNotExist" => {
            "the authority does not know the account: remove account.json in the acme directory of [state]"
        }
        _ => "it is tried again, less and less often",
    }
}

fn printable(text: &str) -> String {
    let shown = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    shown.take(LONGEST_REASON).collect()
}

/// An error with what caused it, which is what says something.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// The authority.
pub(super) struct Authority(reqwest::Client);

impl Authority {
    /// `root` is what its own certificate is issued by, in PEM, where the system does not know it.
    pub(super) fn new(root: Option<&[u8]>) -> Result<Self, Failure> {
        let mut client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE);
        if let Some(root) = root {
            let roots = reqwest::Certificate::from_pem_bundle(root);
            let roots = roots
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or_else(|| {
                    Failure::Disk(
                        "server.tls.acme.directory_root holds no certificate in PEM".to_owned(),
                    )
                })?;
            client = client.tls_certs_only(roots);
        }
        let client = client.build();
        client
            .map(Self)
            .map_err(|error| Failure::Unreached(in_words(&error)))
    }

    /// Whether it can be asked for anything.
    pub(super) async fn answers(&self, acme: &Acme) -> Result<(), Failure> {
        let asked = self.0.get(acme.directory.clone()).send().await;
        let asked = asked.and_then(reqwest::Response::error_for_status);
        asked.map_err(|error| Failure::Unreached(printable(&in_words(&error))))?;
        Ok(())
    }

    pub(super) async fn account(
        &self,
        credentials: AccountCredentials,
    ) -> Result<Account, Failure> {
        let builder = Account::builder_with_http(self.boxed());
        Ok(builder.from_credentials(credentials).await?)
    }

    pub(super) async fn create(
        &self,
        acme: &Acme,
    ) -> Result<(Account, AccountCredentials), Failure> {
        let contact: Vec<&str> = acme.contact.as_deref().into_iter().collect();
        let account = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_http(self.boxed());
        Ok(builder
            .create(&account, acme.directory.to_string(), None)
            .await?)
    }

    fn boxed(&self) -> Box<dyn HttpClient> {
        Box::new(Http(self.0.clone()))
    }
}

struct Http(reqwest::Client);

type Asked = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Http {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Asked {
        let client = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let request = reqwest::Request::try_from(request).map_err(other)?;
            let mut answer = client.execute(request).await.map_err(other)?;
            let mut head = http::Response::new(());
            *head.status_mut() = answer.status();
            *head.headers_mut() = answer.headers().clone();
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(other)? {
                if body.len() + chunk.len() > MAX_BYTES {
                    return Err(Error::Str("an answer of a bearable length"));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(BytesResponse {
                parts: head.into_parts().0,
                body: Box::new(body.freeze()),
            })
        })
    }
}

fn other(error: reqwest::Error) -> Error {
    Error::Other(Box::new(error))
}
