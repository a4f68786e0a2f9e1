//! What belongs into Misskey's form for object storage.

use origin_resolver::{Addressing, Kind, ReadAs, S3Settings};
use serde::Serialize;

use crate::config::{Config, Route, Writing};

/// The form of one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Form {
    /// The route's name.
    pub route: String,
    /// In the order of Misskey's control panel.
    pub values: Vec<FormValue>,
    /// What the values cannot say.
    pub notes: Vec<String>,
}

/// One field of the form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FormValue {
    /// Its label in English.
    pub english: &'static str,
    /// Its label in Japanese.
    pub japanese: &'static str,
    /// What to write there.
    pub value: String,
}

/// What Misskey's form must hold so that its URLs lead to this route.
pub fn form(config: &Config, route: &Route) -> Form {
    let mut notes = Vec::new();
    let uploads = config.origin(&route.uploads_to);
    let mut values = vec![
        value("Base URL", "Base URL", base_url(route, &mut notes)),
        value("Bucket", "Bucket", String::new()),
        value("Prefix", "Prefix", prefix(route, &mut notes)),
    ];
    match uploads.map(|origin| (&origin.settings, origin.writing)) {
        Some((settings, writing)) => {
            if let Kind::S3(s3) = &settings.kind {
                values[1].value = s3.bucket.to_string();
                values.extend(bucket_fields(s3, writing));
                notes.push("access key and secret key stay Misskey's own; give the gateway another pair, or none where the bucket is public".to_owned());
            } else {
                notes.push(format!(
                    "\"{}\" is no bucket, so Misskey cannot upload to it this way",
                    settings.name
                ));
                values.remove(1);
            }
            if !settings.rewrite.is_empty() {
                notes.push(format!("\"{}\" rewrites keys, but Misskey writes there as the URL says; let uploads go to an origin without rewrite", settings.name));
            }
        }
        None => notes.push("the origin of the uploads is not usable".to_owned()),
    }
    Form {
        route: route.name.to_string(),
        values,
        notes,
    }
}

fn value(english: &'static str, japanese: &'static str, value: String) -> FormValue {
    FormValue {
        english,
        japanese,
        value,
    }
}

fn bucket_fields(s3: &S3Settings, writing: Option<Writing>) -> Vec<FormValue> {
    let on = |on: bool| if on { "on" } else { "off" }.to_owned();
    let host = s3.endpoint.host_str().unwrap_or_default();
    let endpoint = match s3.endpoint.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let public_read = match (writing, s3.read) {
        (Some(Writing::S3 { public_read: true }), _) => on(true),
        // Strangers read it, by the bucket's policy or by what each upload says.
        (_, ReadAs::Anonymous) => "(as it is)".to_owned(),
        (_, ReadAs::Signed) => on(false),
    };
    vec![
        value("Endpoint", "Endpoint", endpoint),
        value("Region", "Region", s3.region.to_string()),
        value(
            "Use SSL",
            "SSLを使用する",
            on(s3.endpoint.scheme() == "https"),
        ),
        value("Connect over Proxy", "Proxyを利用する", on(false)),
        value(
            "Set \"public-read\" on upload",
            "アップロード時に'public-read'を設定する",
            public_read,
        ),
        value(
            "s3ForcePathStyle",
            "s3ForcePathStyle",
            on(s3.addressing == Addressing::Path),
        ),
    ]
}

/// The URL that Misskey puts "/" and its key after.
fn base_url(route: &Route, notes: &mut Vec<String>) -> String {
    let url = route
        .urls
        .iter()
        .find(|url| url.host.is_some())
        .unwrap_or(&route.urls[0]);
    if url.host.is_none() {
        notes.push("the route is for any host: put your own in front of the base URL".to_owned());
    }
    if url.host.is_some() && !url.https {
        notes.push(
            "the route's URL is http; if viewers come by https, write https here and there"
                .to_owned(),
        );
    }
    let text = url.to_string();
    // The key in the URL has to be the key in the bucket, so a prefix that the gateway adds must
    // be the part of the path that it takes away.
    match text.strip_suffix(&route.key_prefix) {
        Some(base) if base.ends_with('/') => base.trim_end_matches('/').to_owned(),
        _ => {
            notes.push(format!(
                "the gateway puts \"{}\" before each key, Misskey does not: no base URL leads to its files",
                route.key_prefix
            ));
            text.trim_end_matches('/').to_owned()
        }
    }
}

fn prefix(route: &Route, notes: &mut Vec<String>) -> String {
    let own = route
        .keys
        .iter()
        .find(|key| !key.is_empty() && *key != "null/");
    let Some(own) = own else {
        notes.push("the route publishes every key: leave the prefix as it is".to_owned());
        return "(as it is)".to_owned();
    };
    let prefix = own.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !prefix.bytes().all(plain) {
        notes.push("Misskey's prefix takes only letters, digits, - . and _".to_owned());
    }
    prefix.to_owned()
}
