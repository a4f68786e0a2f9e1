//! A bucket of the S3 server in this process: signatures are verified by somebody else's code,
//! `If-Match` is ignored, and a 416 says nothing of the length.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use origin_resolver::{Kind, Origin};
use test_servers::s3::S3;

use crate::fixture::Fixture;
use crate::kinds::{open, private_bucket};

const BUCKET: &str = "media";

crate::fixture::contract!(Bucket::new());

struct Bucket {
    server: S3,
    origin: Arc<dyn Origin>,
}

impl Bucket {
    fn new() -> Self {
        let server = S3::start().unwrap();
        server.create_bucket(BUCKET).unwrap();
        let bucket = private_bucket(&server.endpoint(), BUCKET, server.keys());
        let origin = open(Kind::S3(bucket));
        Self { server, origin }
    }
}

impl Fixture for Bucket {
    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        content_type: Option<&'a str>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let content_type = content_type.unwrap_or("application/octet-stream");
            let put = self.server.put(BUCKET, key, content_type, bytes);
            put.await.unwrap();
        })
    }

    fn origin(&self) -> Arc<dyn Origin> {
        self.origin.clone()
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        // Connections are counted where the server is the scriptable one.
        Box::pin(async {})
    }

    /// A key is a path there, and its Base64 the name of another file.
    fn can_store(&self, key: &str) -> bool {
        key.len() <= 150 && key.split('/').all(|segment| !segment.is_empty())
    }

    fn can_store_below(&self) -> bool {
        false
    }

    /// It answers them with a 500.
    fn can_shorten_suffixes(&self) -> bool {
        false
    }
}
