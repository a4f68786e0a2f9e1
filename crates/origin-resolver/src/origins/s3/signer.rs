//! URLs of requests that are not reads, signed as reads are: in the query.

use std::time::Duration;

use http::HeaderName;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusty_s3::signing::sign;
use rusty_s3::{Bucket, Credentials, Method};
use url::Url;

/// Long enough for a body that is sent slowly; only its beginning has to fall into it.
const VALID: Duration = Duration::from_hours(1);

/// RFC 3986's unreserved characters stay.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A bucket and who asks it.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) bucket: Bucket,
    pub(super) credentials: Option<Credentials>,
}

impl Signer {
    /// The URL of a key, or of the bucket, with these parameters; the headers must
    /// be sent as they are here.
    pub(super) fn url(
        &self,
        method: Method,
        key: Option<&str>,
        query: &[(&str, &str)],
        headers: &[(HeaderName, String)],
    ) -> Url {
        let mut url = match key {
            Some(key) => self.bucket.object_url(key),
            None => self.bucket.base_url().clone(),
        };
        let mut query = query.to_vec();
        query.sort_unstable();
        let Some(credentials) = &self.credentials else {
            let pairs = query.iter().map(|(name, value)| {
                let value = utf8_percent_encode(value, QUERY);
                format!("{name}={value}")
            });
            url.set_query(Some(&pairs.collect::<Vec<_>>().join("&")));
            return url;
        };
        let mut headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        headers.sort_unstable();
        sign(
            &Timestamp::now(),
            method,
            url,
            credentials.key(),
            credentials.secret(),
            credentials.token(),
            self.bucket.region(),
            VALID.as_secs(),
            query.into_iter(),
            headers.into_iter(),
        )
    }
}
