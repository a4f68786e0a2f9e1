//! Buckets and a web server over the scriptable origin, which does nothing wrong here: the
//! contract for `s3` and `http`, with every key that a bucket can hold.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use origin_resolver::{HttpSettings, Kind, Origin};
use test_servers::Keys;
use test_servers::faulty::{BUCKET, Faulty, Missing, Object};

use crate::fixture::Fixture;
use crate::kinds::{open, private_bucket, public_bucket, web};

mod anonymous_bucket {
    crate::fixture::contract!(super::Behind::anonymous_bucket().await);
}

mod signed_bucket {
    crate::fixture::contract!(super::Behind::signed_bucket().await);
}

mod web_server {
    crate::fixture::contract!(super::Behind::web_server().await);
}

/// An origin whose server is the scriptable one.
struct Behind {
    server: Faulty,
    origin: Arc<dyn Origin>,
}

impl Behind {
    async fn anonymous_bucket() -> Self {
        let server = Faulty::start().await;
        let origin = open(Kind::S3(public_bucket(&server.endpoint(), BUCKET)));
        Self { server, origin }
    }

    async fn signed_bucket() -> Self {
        let server = Faulty::start().await;
        server.private(true);
        let bucket = private_bucket(&server.endpoint(), BUCKET, &Keys::default());
        let origin = open(Kind::S3(bucket));
        Self { server, origin }
    }

    async fn web_server() -> Self {
        let server = Faulty::start().await;
        server.missing(Missing::Plain);
        let origin = open(Kind::Http(HttpSettings {
            // The contract's objects are web pages too.
            allow_html: true,
            ..web(&server.base_url())
        }));
        Self { server, origin }
    }
}

impl Fixture for Behind {
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        content_type: Option<&'a str>,
    ) -> BoxFuture<'a, ()> {
        let object = Object::new(bytes).last_modified(Some(SystemTime::now()));
        let object = match content_type {
            Some(content_type) => object.content_type(content_type),
            None => object,
        };
        self.server.put(key, object);
        Box::pin(async {})
    }

    fn origin(&self) -> Arc<dyn Origin> {
        self.origin.clone()
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            // One may stay open for the next question.
            self.server
                .wait_until("all connections but one to close", |counts| {
                    counts.open <= 1
                })
                .await;
        })
    }
}
