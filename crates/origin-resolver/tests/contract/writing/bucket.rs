//! Buckets that are written: of the scriptable server, of the S3 server in this process, and of a
//! real SeaweedFS.

use test_servers::Keys;
use test_servers::faulty::{BUCKET, Faulty};
use test_servers::s3::S3;

use super::{Place, stores};
use crate::kinds::{open, private_bucket};
use crate::seaweed;
use origin_resolver::{Kind, Provider, S3Settings};

mod every_key {
    super::stores!(super::scriptable(None).await.0);
}

mod a_provider_that_heeds_conditions {
    super::stores!(super::scriptable(Some(super::Provider::Aws)).await.0);
}

mod a_provider_that_ignores_conditions {
    super::stores!({
        let (place, server) = super::scriptable(None).await;
        server.heeds_conditions(false);
        place
    });
}

mod a_bucket_with_versions {
    super::stores!({
        let (place, server) = super::scriptable(None).await;
        server.versioned();
        place
    });
}

mod in_process {
    super::stores!(super::in_process());
}

mod real {
    super::stores!(super::seaweed().await);
}

/// A bucket of the scriptable server.
pub(super) async fn scriptable(provider: Option<Provider>) -> (Place, Faulty) {
    let server = Faulty::start().await;
    server.private(true);
    server.writable(true);
    let bucket = S3Settings {
        provider,
        ..private_bucket(&server.endpoint(), BUCKET, &Keys::default())
    };
    let place = Place {
        origin: open(Kind::S3(bucket)),
        can_store: |_| true,
        can_store_below: true,
        _server: Box::new(server.clone()),
    };
    (place, server)
}

fn in_process() -> Place {
    let server = S3::start().unwrap();
    server.create_bucket("media").unwrap();
    let bucket = private_bucket(&server.endpoint(), "media", server.keys());
    Place {
        origin: open(Kind::S3(bucket)),
        // A key is a path there, and its Base64 the name of another file.
        can_store: |key| key.len() <= 150 && key.split('/').all(|segment| !segment.is_empty()),
        can_store_below: false,
        _server: Box::new(server),
    }
}

async fn seaweed() -> Place {
    Place {
        origin: seaweed::private_origin().await,
        can_store: |key| {
            let fits = |segment: &str| !segment.is_empty() && segment.len() <= 255;
            key.split('/').all(fits)
        },
        can_store_below: true,
        _server: Box::new(()),
    }
}
