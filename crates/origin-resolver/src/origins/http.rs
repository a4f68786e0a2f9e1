//! A web server with objects below one URL.
//!
//! It is believed less than a bucket: a 404 may be a lie of the old proxy's, a 200 may be a parked
//! domain's page, and an ETag proves no content unless a bucket is seen to stand behind it.

use futures_util::future::BoxFuture;
use url::Url;

use super::BuildError;
use super::client::{Clients, Manners};
use super::head::Sender;
use super::judge::Dialect;
use super::wire::{Target, Wire};
use crate::names::Names;
use crate::{Answer, HttpSettings, MissingMeans, Origin, OriginSettings, Question};

/// A web server.
pub(super) struct Http {
    wire: Wire,
    url: Url,
    missing_means: MissingMeans,
    allow_html: bool,
}

impl Http {
    /// Prepares it; nothing is connected.
    pub(super) fn open(
        settings: &OriginSettings,
        server: &HttpSettings,
        names: &Names,
    ) -> Result<Self, BuildError> {
        let refuse = |what: &str, remedy: &str| BuildError::new(&settings.name, what, remedy);
        let url = server.url.clone();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refuse("the url is not http(s)", "write https://host/path/"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "the url holds a user or a password",
                "remove them: they would stand in every log",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.path().ends_with('/') {
            return Err(refuse(
                "keys cannot be appended to the url",
                "end it with a slash, without ? and #",
            ));
        }
        let manners = Manners {
            https: url.scheme() == "https",
            http2: true,
            accept_encoding: "identity",
            connect_timeout: settings.connect_timeout,
            idle_connections: settings.max_concurrency,
            ip: server.ip,
        };
        let clients = Clients::build(&manners, names)
            .map_err(|_| refuse("no http client can be made", "report this"))?;
        Ok(Self {
            wire: Wire::new(&settings.name, clients),
            url,
            missing_means: server.missing_means,
            allow_html: server.allow_html,
        })
    }

    fn target(&self, question: &Question) -> Target {
        let mut url = self.url.clone();
        // Appended and not resolved: a key that starts with a slash must not replace the path.
        let path = format!("{}{}", url.path(), question.key.to_url_path());
        url.set_path(&path);
        Target {
            url,
            headers: &[],
            dialect: Dialect::Web {
                missing_means: self.missing_means,
            },
            sender: Sender::Web,
            allow_html: self.allow_html,
        }
    }
}

impl Origin for Http {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.wire.ask(question, &self.target(question)).await })
    }

    fn clock_ahead_seconds(&self) -> Option<i64> {
        self.wire.clock_ahead_seconds()
    }
}
