//! An S3 server in this process, on a directory: s3s with its file system backend.
//!
//! Signatures are verified. A key is a path below the bucket's directory, so keys with a leading
//! or a doubled slash are not for this server, and conditional GETs are not answered; the faulty
//! origin and SeaweedFS do both.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;

use crate::client::{BucketClient, Keys};
use crate::door::Door;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub struct S3 {
    service: ServiceDebug,
    door: Door,
    keys: Keys,
    directory: PathBuf,
    public: Public,
    _temporary: Option<TempDir>,
}

/// Buckets that strangers may read.
type Public = Arc<Mutex<BTreeSet<String>>>;

#[derive(Clone)]
struct ServiceDebug(S3Service);

impl std::fmt::Debug for ServiceDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3Service")
    }
}

impl S3 {
    /// Starts at a free port with a temporary directory of its own and the default keys.
    ///
    /// # Errors
    /// No directory or no port can be had.
    pub fn start() -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir().context("no temporary directory")?;
        let directory = temporary.path().to_owned();
        Self::launch(directory, Keys::default(), Some(temporary))
    }

    /// Starts at a free port; `directory` holds one directory for each bucket.
    ///
    /// # Errors
    /// The directory cannot be opened or no port can be had.
    pub fn start_in(directory: &Path, keys: Keys) -> anyhow::Result<Self> {
        Self::launch(directory.to_owned(), keys, None)
    }

    fn launch(directory: PathBuf, keys: Keys, temporary: Option<TempDir>) -> anyhow::Result<Self> {
        let files = s3s_fs::FileSystem::new(&directory)
            .map_err(|error| anyhow::anyhow!("{}: {error:?}", directory.display()))?;
        let public = Public::default();
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(
            keys.access_key_id.clone(),
            keys.secret_access_key.clone(),
        ));
        service.set_access(Guard(Arc::clone(&public)));
        let this = Self {
            service: ServiceDebug(service.build()),
            door: Door::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?,
            keys,
            directory,
            public,
            _temporary: temporary,
        };
        this.restart()?;
        Ok(this)
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// `http://127.0.0.1:port`, for path addressing.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The key pair that may do everything.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Makes a bucket that only the keys may read; an existing one is fine.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.directory.join(name)).with_context(|| format!("bucket {name}"))
    }

    /// Whether strangers may get this bucket's objects (never list them).
    pub fn set_public(&self, bucket: &str, public: bool) {
        let mut buckets = self.public.lock().unwrap_or_else(PoisonError::into_inner);
        if public {
            buckets.insert(bucket.to_owned());
        } else {
            buckets.remove(bucket);
        }
    }

    /// A client with this server's keys.
    ///
    /// # Errors
    /// The bucket's name is not one.
    pub fn client(&self, bucket: &str) -> anyhow::Result<BucketClient> {
        BucketClient::new(&self.endpoint(), bucket, &self.keys)
    }

    /// Stores an object over the wire.
    ///
    /// # Errors
    /// The server is stopped or refuses.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> anyhow::Result<()> {
        self.client(bucket)?.put(key, content_type, bytes).await
    }

    /// Stops listening and breaks every connection; connects are refused from then on.
    pub async fn stop(&self) {
        self.door.close().await;
    }

    /// Listens again at the same address; nothing where it already does.
    ///
    /// # Errors
    /// The port cannot be listened on.
    pub fn restart(&self) -> anyhow::Result<()> {
        let ServiceDebug(service) = self.service.clone();
        self.door.open(move |stream| {
            let service = service.clone();
            async move {
                // Its errors are clients that went away.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            }
        })?;
        Ok(())
    }

    /// Whether it listens.
    pub fn is_running(&self) -> bool {
        self.door.is_open()
    }
}

/// Lets the keys do everything and strangers get objects of public buckets.
struct Guard(Public);

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let public = match (cx.s3_path(), cx.s3_op().name()) {
            (S3Path::Object { bucket, .. }, "GetObject" | "HeadObject") => self
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&**bucket),
            _ => false,
        };
        if public || cx.credentials().is_some() {
            return Ok(());
        }
        Err(s3s::s3_error!(AccessDenied, "a signature is required"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(url: String) -> u16 {
        reqwest::get(url).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_private_bucket_needs_the_keys_and_a_public_one_does_not() {
        let s3 = S3::start().unwrap();
        s3.create_bucket("media").unwrap();
        s3.put("media", "a/写真 1.webp", "image/webp", "hello")
            .await
            .unwrap();
        let url = format!("{}/media/a/%E5%86%99%E7%9C%9F%201.webp", s3.endpoint());
        assert_eq!(status(url.clone()).await, 403);
        s3.set_public("media", true);
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "image/webp");
        assert_eq!(answer.text().await.unwrap(), "hello");
        assert_eq!(status(format!("{}/media/none", s3.endpoint())).await, 404);
        assert_eq!(
            status(format!("{}/media?list-type=2", s3.endpoint())).await,
            403
        );
        let wrong = Keys {
            secret_access_key: "no".into(),
            ..Keys::default()
        };
        let stranger = BucketClient::new(&s3.endpoint(), "media", &wrong).unwrap();
        assert!(stranger.put("x", "text/plain", "x").await.is_err());
    }

    #[tokio::test]
    async fn what_was_stored_is_there_after_a_stop_and_a_start() {
        let s3 = S3::start().unwrap();
        s3.create_bucket("media").unwrap();
        s3.set_public("media", true);
        s3.put("media", "a", "text/plain", "hello").await.unwrap();
        let url = format!("{}/media/a", s3.endpoint());
        s3.stop().await;
        assert!(!s3.is_running() && reqwest::get(&url).await.is_err());
        s3.restart().unwrap();
        assert_eq!(status(url).await, 200);
    }
}
