//! Settings for origins behind the test servers; what a test does not care about is as the
//! configuration's defaults would have it.

use std::sync::Arc;
use std::time::Duration;

use origin_resolver::{
    Addressing, Canary, Credentials, ForbiddenMeans, HttpSettings, IpVersions, Kind, MissingMeans,
    Names, Origin, OriginSettings, OriginState, ReadAs, S3Settings, build,
};
use test_servers::{Keys, REGION};

/// An origin of this kind, with the documented timeouts.
pub(crate) fn settings(name: &str, kind: Kind) -> OriginSettings {
    OriginSettings {
        name: name.into(),
        kind,
        state: OriginState::Active,
        rewrite: Vec::new(),
        canary: Canary::Auto,
        forbidden_means: ForbiddenMeans::Unknown,
        connect_timeout: Duration::from_secs(2),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(15),
        hedge_after: Duration::from_millis(400),
        max_requests_per_second: None,
        max_concurrency: 64,
    }
}

/// A bucket read as a stranger.
pub(crate) fn public_bucket(endpoint: &str, bucket: &str) -> S3Settings {
    S3Settings {
        endpoint: endpoint.parse().unwrap(),
        region: REGION.into(),
        bucket: bucket.into(),
        addressing: Addressing::Path,
        credentials: None,
        read: ReadAs::Anonymous,
        provider: None,
        public_writes: false,
        ip: IpVersions::Any,
    }
}

/// A bucket read with keys.
pub(crate) fn private_bucket(endpoint: &str, bucket: &str, keys: &Keys) -> S3Settings {
    S3Settings {
        credentials: Some(credentials(keys)),
        read: ReadAs::Signed,
        ..public_bucket(endpoint, bucket)
    }
}

/// A test server's keys as an origin takes them.
pub(crate) fn credentials(keys: &Keys) -> Credentials {
    Credentials {
        access_key_id: keys.access_key_id.clone().into(),
        secret_access_key: keys.secret_access_key.clone().into(),
    }
}

/// A web server whose 404s are believed.
pub(crate) fn web(url: &str) -> HttpSettings {
    HttpSettings {
        url: url.parse().unwrap(),
        missing_means: MissingMeans::Missing,
        allow_html: false,
        ip: IpVersions::Any,
    }
}

/// The unguarded origin of this kind.
pub(crate) fn open(kind: Kind) -> Arc<dyn Origin> {
    build(&settings("tested", kind), &Names::new()).unwrap()
}
