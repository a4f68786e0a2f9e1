//! Bucket, base URL and prefix of both sides.

use origin_resolver::Kind;
use serde::Serialize;
use url::Url;

use super::{Drive, MisskeyConfig};
use crate::config::{Config, Route, RouteUrl};

/// One thing that both sides have to agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// `drive: bucket`.
    pub what: String,
    /// What Misskey says.
    pub misskey: String,
    /// What the gateway says.
    pub gateway: String,
    /// Whether they agree.
    pub fits: bool,
    /// What to change where they do not.
    pub remedy: String,
}

/// Compares what Misskey's file holds of object storage; empty where it holds nothing.
pub fn compare(misskey: &MisskeyConfig, config: &Config) -> Vec<Comparison> {
    let drives = [
        ("drive", &misskey.drive),
        ("remoteDrive", &misskey.remote_drive),
    ];
    drives
        .into_iter()
        .filter_map(|(name, drive)| Some((name, drive.as_ref()?)))
        .filter(|(_, drive)| drive.storage.as_deref() == Some("minio"))
        .flat_map(|(name, drive)| compare_drive(name, drive, config))
        .collect()
}

fn compare_drive(name: &str, drive: &Drive, config: &Config) -> Vec<Comparison> {
    let bucket = drive.bucket.clone().unwrap_or_default();
    let endpoint = drive
        .config
        .as_ref()
        .and_then(|minio| minio.end_point.clone());
    let endpoint = endpoint.unwrap_or_default();
    let holder = config.origins.iter().find(|origin| {
        matches!(&origin.settings.kind, Kind::S3(s3)
            if *s3.bucket == *bucket && s3.endpoint.host_str() == Some(&*endpoint.to_ascii_lowercase()))
    });
    let mut comparisons = vec![Comparison {
        what: format!("{name}: bucket"),
        misskey: format!("{bucket} at {endpoint}"),
        gateway: match holder {
            Some(origin) => format!("origin \"{}\"", origin.name()),
            None => "no origin with this bucket and endpoint".to_owned(),
        },
        fits: holder.is_some(),
        remedy: match holder {
            Some(_) => String::new(),
            None => "add an [origins.…] table for it".to_owned(),
        },
    }];

    let base_url = drive
        .base_url
        .clone()
        .unwrap_or_else(|| default_base_url(drive, &endpoint, &bucket));
    let place = Url::parse(&base_url)
        .ok()
        .and_then(|base| serving(config, &base));
    let names_holder = |route: &Route| {
        holder.is_none_or(|origin| route.origins.iter().any(|name| **name == *origin.name()))
    };
    comparisons.push(match &place {
        Some((route, _)) if names_holder(route) => Comparison {
            what: format!("{name}: baseUrl"),
            misskey: base_url,
            gateway: format!("route \"{}\"", route.name),
            fits: true,
            remedy: String::new(),
        },
        Some((route, _)) => Comparison {
            what: format!("{name}: baseUrl"),
            misskey: base_url,
            gateway: format!("route \"{}\", which does not ask that bucket", route.name),
            fits: false,
            remedy: "add the bucket's origin to the route".to_owned(),
        },
        None => Comparison {
            what: format!("{name}: baseUrl"),
            misskey: base_url,
            gateway: "no route answers there".to_owned(),
            fits: false,
            remedy: "set baseUrl to a route's URL without its last slash (below), or add a route"
                .to_owned(),
        },
    });

    if let Some((route, rest)) = place {
        // JavaScript writes an absent prefix out as a word.
        let prefix = drive.prefix.as_deref().unwrap_or("undefined");
        let key = format!("{}{rest}{prefix}/", route.key_prefix);
        let is_published = route
            .keys
            .iter()
            .any(|published| key.starts_with(published));
        let is_bucket_key = key == format!("{prefix}/");
        comparisons.push(Comparison {
            what: format!("{name}: prefix"),
            misskey: prefix.to_owned(),
            gateway: format!(
                "keys {key}…, {}",
                if is_published {
                    "published"
                } else {
                    "not published"
                }
            ),
            fits: is_published && is_bucket_key,
            remedy: match (is_published, is_bucket_key) {
                (_, false) => format!(
                    "Misskey writes {prefix}/…: set key_prefix or baseUrl so that both are the same"
                ),
                (false, true) => format!("add \"{prefix}/\" to keys"),
                (true, true) => String::new(),
            },
        });
    }
    comparisons
}

/// What Misskey makes of an absent `baseUrl`.
fn default_base_url(drive: &Drive, endpoint: &str, bucket: &str) -> String {
    let minio = drive.config.as_ref();
    let scheme = match minio.and_then(|minio| minio.use_ssl) {
        Some(false) => "http",
        _ => "https",
    };
    let port = minio
        .and_then(|minio| minio.port)
        .map(|port| format!(":{port}"));
    format!("{scheme}://{endpoint}{}/{bucket}", port.unwrap_or_default())
}

/// The route that answers below a base URL, and what of its path stands after the route's.
fn serving<'c>(config: &'c Config, base: &Url) -> Option<(&'c Route, String)> {
    let path = format!("{}/", base.path().trim_end_matches('/'));
    let matches = |url: &RouteUrl| {
        let same_host = url
            .host
            .as_deref()
            .is_none_or(|host| Some(host) == base.host_str());
        same_host && path.starts_with(&url.path)
    };
    config
        .routes
        .iter()
        .flat_map(|route| route.urls.iter().map(move |url| (route, url)))
        .filter(|(_, url)| matches(url))
        .max_by_key(|(_, url)| (url.host.is_some(), url.path.len()))
        .map(|(route, url)| (route, path[url.path.len()..].to_owned()))
}
