//! A bucket.
//!
//! Signed by a query (a presigned URL), so that whatever prints a URL prints a key to the object
//! for a quarter of an hour: URLs are never printed.
//!
//! | file | what it knows |
//! |---|---|
//! | `listing` | the first level, for the doctor |
//! | `pages`, `raw` | every object, a page at a time; one page as it was sent |
//! | `putting`, `parts`, `written` | one PUT; several; the headers that go with them |
//! | `erasing` | every version of a key |
//! | `signer` | the URLs of all of these |

mod erasing;
mod listing;
mod pages;
mod parts;
mod putting;
mod raw;
mod signer;
mod written;

pub use parts::{put_held_bytes, put_requests};

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::BoxFuture;
use object::ObjectKey;
use rusty_s3::{Bucket, BucketError, Credentials, S3Action as _, UrlStyle};
use secrecy::ExposeSecret as _;
use tokio_util::task::TaskTracker;
use url::Url;

use self::pages::Manner;
use self::putting::Conditions;
use self::signer::Signer;
use super::BuildError;
use super::client::{Clients, Manners};
use super::head::Sender;
use super::judge::Dialect;
use super::wire::{Target, Wire};
use crate::names::Names;
use crate::{
    Access, Addressing, Answer, Cursor, Erased, Failure, Origin, OriginSettings, Page, Part,
    Provider, Put, PutError, Question, ReadAs, Reason, S3Settings, Store, Stored, Turns,
};

/// How long a signature is good for. Only the beginning of an answer has to fall into it, but a
/// whole object may be asked for by somebody who waits in a queue.
const VALID: Duration = Duration::from_mins(15);
const VALID_WHOLE: Duration = Duration::from_hours(1);

const CHECKSUM_MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

/// A bucket.
pub(super) struct S3 {
    wire: Wire,
    bucket: Bucket,
    credentials: Option<Credentials>,
    signs_reads: bool,
    provider: Option<Provider>,
    signer: Signer,
    manner: Manner,
    conditions: Conditions,
    knows_no_versions: AtomicBool,
    public_writes: bool,
    /// What is still to be tidied up after work that was dropped.
    leftovers: TaskTracker,
}

impl S3 {
    /// Prepares it; nothing is connected.
    pub(super) fn open(
        settings: &OriginSettings,
        s3: &S3Settings,
        names: &Names,
    ) -> Result<Self, BuildError> {
        let refuse = |what: &str, remedy: &str| BuildError::new(&settings.name, what, remedy);
        let style = match s3.addressing {
            Addressing::Path => UrlStyle::Path,
            Addressing::VirtualHost => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(
            s3.endpoint.clone(),
            style,
            s3.bucket.to_string(),
            s3.region.to_string(),
        )
        .map_err(|error| match error {
            BucketError::UnsupportedScheme | BucketError::MissingHost => {
                refuse("the endpoint is not http(s)", "write https://host")
            }
            BucketError::ParseError(_) => refuse(
                "the bucket's name cannot be part of this endpoint's host name",
                "set addressing = \"path\"",
            ),
        })?;
        let credentials = s3.credentials.as_ref().map(|pair| {
            Credentials::new(
                pair.access_key_id.expose_secret(),
                pair.secret_access_key.expose_secret(),
            )
        });
        let signs_reads = s3.read == ReadAs::Signed;
        if signs_reads && credentials.is_none() {
            return Err(refuse(
                "reads are to be signed and there are no keys",
                "set access_key_id and secret_access_key, or read = \"anonymous\"",
            ));
        }
        let manners = Manners {
            https: s3.endpoint.scheme() == "https",
            // A presigned GET gains nothing from HTTP/2, and some gateways break it.
            http2: false,
            accept_encoding: match s3.provider {
                // R2 decompresses what was stored compressed for whoever does not accept gzip,
                // and then neither length nor ranges nor ETag are the object's own.
                Some(Provider::R2) => "gzip",
                _ => "identity",
            },
            connect_timeout: settings.connect_timeout,
            idle_connections: settings.max_concurrency,
            ip: s3.ip,
        };
        let clients = Clients::build(&manners, names)
            .map_err(|_| refuse("no http client can be made", "report this"))?;
        Ok(Self {
            wire: Wire::new(&settings.name, clients),
            signer: Signer {
                bucket: bucket.clone(),
                credentials: credentials.clone(),
            },
            bucket,
            credentials,
            signs_reads,
            provider: s3.provider,
            manner: Manner::of(s3.provider),
            conditions: Conditions::of(s3.provider),
            knows_no_versions: AtomicBool::new(false),
            public_writes: s3.public_writes,
            leftovers: TaskTracker::new(),
        })
    }

    /// The keys to sign with; `Ok(None)` is a stranger's question.
    fn signer(&self, access: Access) -> Result<Option<&Credentials>, Failure> {
        match (&self.credentials, access) {
            (Some(credentials), Access::Signed) => Ok(Some(credentials)),
            (None, Access::Signed) => Err(self.wire.named(Failure::new(
                Reason::Credentials,
                "has no keys to sign with",
            ))),
            (credentials, Access::AsConfigured) => {
                Ok(credentials.as_ref().filter(|_| self.signs_reads))
            }
        }
    }

    /// Whether there are keys to write with.
    fn may_write(&self) -> Result<(), Failure> {
        self.signer(Access::Signed).map(|_| ())
    }

    fn target(&self, question: &Question) -> Result<Target, Failure> {
        let signer = self.signer(question.access)?;
        let mut action = self.bucket.get_object(signer, question.key.as_str());
        let headers: &'static [_] = match self.provider {
            // B2 answers 400 and R2 501 to this header, so nobody is asked who is not known.
            Some(Provider::Aws | Provider::Minio | Provider::Seaweedfs) => &[CHECKSUM_MODE],
            _ => &[],
        };
        for (name, value) in headers {
            action.headers_mut().insert(*name, *value);
        }
        let valid = match question.part {
            Part::Whole => VALID_WHOLE,
            Part::Head | Part::Range(_) => VALID,
        };
        Ok(self.target_at(action.sign(valid), headers, signer.is_some()))
    }

    fn target_at(
        &self,
        url: Url,
        headers: &'static [(&'static str, &'static str)],
        signed: bool,
    ) -> Target {
        Target {
            url,
            headers,
            dialect: Dialect::S3 { signed },
            sender: Sender::S3(self.provider),
            // Old applications stored web pages as media: they are objects here.
            allow_html: true,
        }
    }
}

impl Origin for S3 {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            match self.target(question) {
                Ok(target) => self.wire.ask(question, &target).await,
                Err(failure) => Answer::Unknown(failure),
            }
        })
    }

    fn can_settle(&self) -> bool {
        self.credentials.is_some() && !self.signs_reads
    }

    fn top_prefixes(&self, access: Access) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(listing::top_prefixes(self, access))
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }

    fn clock_ahead_seconds(&self) -> Option<i64> {
        self.wire.clock_ahead_seconds()
    }
}

impl Store for S3 {
    fn writable(&self) -> Result<(), Failure> {
        self.may_write()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<Cursor>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        Box::pin(self.page(prefix, after, turns))
    }

    fn put<'a>(
        &'a self,
        put: Put,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Stored, PutError>> {
        Box::pin(self.store_object(put, turns))
    }

    fn delete<'a>(
        &'a self,
        key: &'a ObjectKey,
        only: Option<&'a str>,
        turns: &'a dyn Turns,
    ) -> BoxFuture<'a, Result<Erased, Failure>> {
        Box::pin(self.erase(key, only, turns))
    }
}
