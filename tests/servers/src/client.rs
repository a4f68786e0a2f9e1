//! How tests and the demo fill a bucket: over the wire, as an application would.
//!
//! Says what went wrong in errors that name the key and never the signed URL.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use reqwest::Method;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

/// The region every server here accepts.
pub const REGION: &str = "us-east-1";

const SIGNED_FOR: Duration = Duration::from_mins(5);

/// An access key pair of a test server; no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// The private half.
    pub secret_access_key: String,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            access_key_id: "test-access-key".to_owned(),
            secret_access_key: "test-secret-key".to_owned(),
        }
    }
}

/// Writes to one bucket with one key pair.
#[derive(Debug, Clone)]
pub struct BucketClient {
    bucket: Bucket,
    credentials: Credentials,
    http: reqwest::Client,
}

impl BucketClient {
    /// Path addressing; `endpoint` is without the bucket.
    ///
    /// # Errors
    /// The endpoint is not a URL.
    pub fn new(endpoint: &str, bucket: &str, keys: &Keys) -> anyhow::Result<Self> {
        let endpoint: Url = endpoint.parse().context("the endpoint is not a URL")?;
        Ok(Self {
            bucket: Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), REGION)?,
            credentials: Credentials::new(&keys.access_key_id, &keys.secret_access_key),
            http: reqwest::Client::builder().no_proxy().build()?,
        })
    }

    /// Makes the bucket; an existing one is fine.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn create(&self) -> anyhow::Result<()> {
        let url = self
            .bucket
            .create_bucket(&self.credentials)
            .sign(SIGNED_FOR);
        let answer = self.http.put(url).send().await;
        let status = answer.map_err(reqwest::Error::without_url)?.status();
        ensure!(
            status.is_success() || status == 409,
            "bucket {} was not made: {status}",
            self.bucket.name()
        );
        Ok(())
    }

    /// Stores an object.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn put(
        &self,
        key: &str,
        content_type: &str,
        bytes: impl Into<Bytes>,
    ) -> anyhow::Result<()> {
        let action = self.bucket.put_object(Some(&self.credentials), key);
        let headers = [("content-type", content_type)];
        self.send(
            Method::PUT,
            action.sign(SIGNED_FOR),
            key,
            &headers,
            bytes.into(),
        )
        .await
    }

    /// Deletes an object; absent ones are fine.
    ///
    /// # Errors
    /// The server refuses or does not answer.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let action = self.bucket.delete_object(Some(&self.credentials), key);
        let url = action.sign(SIGNED_FOR);
        self.send(Method::DELETE, url, key, &[], Bytes::new()).await
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        key: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> anyhow::Result<()> {
        let mut request = self.http.request(method.clone(), url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| format!("{method} {key}"))?;
        let status = answer.status();
        let said = answer.text().await.unwrap_or_default();
        ensure!(status.is_success(), "{method} {key}: {status}: {said}");
        Ok(())
    }
}
