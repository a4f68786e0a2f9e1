//! Buckets of a real SeaweedFS, one read with keys and one as a stranger.
//!
//! One server serves the whole test binary, because each start takes a second; every test has
//! buckets of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use origin_resolver::{Kind, Origin, Provider, S3Settings};
use test_servers::BucketClient;
use test_servers::seaweed::{PRIVATE, PUBLIC, Seaweed};
use tokio::sync::OnceCell;

use crate::fixture::Fixture;
use crate::kinds::{open, private_bucket, public_bucket};

mod private_bucket {
    crate::fixture::contract!(super::Bucket::private().await);
}

mod public_bucket {
    crate::fixture::contract!(super::Bucket::public().await);
}

/// Never dropped; the server goes when this process does.
static SERVER: OnceCell<Seaweed> = OnceCell::const_new();
static BUCKETS: AtomicU32 = AtomicU32::new(0);

async fn server() -> &'static Seaweed {
    SERVER
        .get_or_init(|| async { Seaweed::start().await.unwrap() })
        .await
}

struct Bucket {
    client: BucketClient,
    origin: Arc<dyn Origin>,
}

impl Bucket {
    async fn private() -> Self {
        let server = server().await;
        Self::make(PRIVATE, |name| {
            private_bucket(&server.endpoint(), name, server.keys())
        })
        .await
    }

    async fn public() -> Self {
        let server = server().await;
        Self::make(PUBLIC, |name| public_bucket(&server.endpoint(), name)).await
    }

    async fn make(kind: &str, settings: impl FnOnce(&str) -> S3Settings) -> Self {
        let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{kind}-{number}");
        let client = server().await.client(&name).unwrap();
        client.create().await.unwrap();
        let origin = open(Kind::S3(S3Settings {
            provider: Some(Provider::Seaweedfs),
            ..settings(&name)
        }));
        Self { client, origin }
    }
}

/// A new private bucket.
pub(crate) async fn private_origin() -> Arc<dyn Origin> {
    Bucket::private().await.origin
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
            self.client.put(key, content_type, bytes).await.unwrap();
        })
    }

    fn origin(&self) -> Arc<dyn Origin> {
        self.origin.clone()
    }

    fn released(&self) -> BoxFuture<'_, ()> {
        // Connections are counted where the server is the scriptable one.
        Box::pin(async {})
    }

    /// It takes several slashes for one, drops the first, and a key that ends with one names a
    /// directory without bytes.
    fn can_store(&self, key: &str) -> bool {
        let fits = |segment: &str| !segment.is_empty() && segment.len() <= 255;
        key.split('/').all(fits)
    }
}
