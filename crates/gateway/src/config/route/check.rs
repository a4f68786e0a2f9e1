//! Judges the routes, alone and beside each other.

use std::time::Duration;

use super::url::{self, RouteUrl};
use super::{Deletes, RawDeletes, RawRoute, Route, headers};
use crate::config::findings::Findings;
use crate::config::origin::{Origins, unfit_prefix};
use crate::config::problem::Problem;
use crate::config::values::{ByteRate, Rate};
use crate::config::{name, urls};

/// Where Misskey itself answers on its own host.
const MISSKEYS_FILES: &str = "/files/";

/// What else it answers there.
const MISSKEYS_OWN: [&str; 6] = [
    "/proxy/", "/api/", "/assets/", "/avatar/", "/emoji/", "/url/",
];

pub(in crate::config) fn check(
    raw: Vec<RawRoute>,
    origins: &Origins,
    findings: &mut Findings,
) -> Vec<Route> {
    if raw.is_empty() {
        findings.refuse(Problem::new(
            "routes",
            "there is no route, so nothing would be served",
            "add a [[routes]] table with url and origins",
        ));
    }
    let is_only_one = raw.len() == 1;
    let mut taken = Taken::default();
    let routes: Vec<_> = raw
        .into_iter()
        .enumerate()
        .filter_map(|(index, raw)| {
            let path = format!("routes[{index}]");
            Checker {
                path: &path,
                origins,
                findings,
            }
            .check(raw, is_only_one, &mut taken)
        })
        .collect();
    warn_of_shared_spaces(&routes, findings);
    routes
}

/// What one route drops because it was deleted, the other one would put back.
fn warn_of_shared_spaces(routes: &[Route], findings: &mut Findings) {
    for (index, route) in routes.iter().enumerate() {
        let differs = |other: &&Route| {
            other.cache_space == route.cache_space && other.deletes != route.deletes
        };
        if let Some(other) = routes[..index].iter().find(differs) {
            findings.warn(Problem::new(
                format!("routes[{index}].deletes"),
                format!(
                    "the route \"{}\" has the same cache space and other deletes, so what one of them drops may come back as a copy of the other",
                    other.name
                ),
                "write the same deletes in both, or give each a cache space of its own",
            ));
        }
    }
}

/// Copies are written at this speed, in bytes per second, unless the file says otherwise.
const PROMOTE_BANDWIDTH: u64 = 10_000_000;

/// What earlier routes have taken.
#[derive(Default)]
struct Taken {
    names: Vec<String>,
    urls: Vec<(RouteUrl, String)>,
}

/// One route being judged; what it says of its origins and of its keys is in files of their own.
pub(super) struct Checker<'a> {
    path: &'a str,
    pub(super) origins: &'a Origins,
    pub(super) findings: &'a mut Findings,
}

impl Checker<'_> {
    /// The path of one of the route's keys.
    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn check(mut self, raw: RawRoute, is_only_one: bool, taken: &mut Taken) -> Option<Route> {
        let before = self.findings.problem_count();
        let name = self.name(raw.name, is_only_one, taken);
        let may_break = raw.i_know_this_breaks_misskey.unwrap_or(false);
        let urls = self.urls(raw.url.as_ref(), may_break, &name, taken);
        let listed = raw.origins.unwrap_or_default();
        let usable = self.origins(&listed);
        let key_prefix = raw.key_prefix.unwrap_or_default();
        if let Some(reason) = unfit_prefix(&key_prefix) {
            self.findings.refuse(
                Problem::new(self.at("key_prefix"), reason, "write it as \"storage/\"")
                    .with_value(&key_prefix),
            );
        }
        let keys = self.keys(raw.keys, &key_prefix, &usable);
        let promote_to = self.target("promote_to", raw.promote_to, &listed);
        if let Some(target) = &promote_to {
            self.must_be_writable(target);
        }
        let uploads_to = self.target("uploads_to", raw.uploads_to, &listed);
        if let Some(space) = &raw.cache {
            name::check(&self.at("cache"), "a cache space", space, self.findings);
        }
        let cache_space = raw.cache.unwrap_or_else(|| name.clone());
        let cache_control =
            headers::cache_control(self.path, raw.cache_control.as_deref(), self.findings);
        let filename_parameter =
            headers::filename_parameter(self.path, raw.filename_parameter, self.findings);
        let inline_types = headers::inline_types(
            self.path,
            raw.inline_types.unwrap_or_default(),
            self.findings,
        );
        let first = usable.first().cloned();
        (self.findings.problem_count() == before).then_some(())?;
        Some(Route {
            name: name.into(),
            urls,
            keys,
            key_prefix,
            uploads_to: uploads_to.or(first)?,
            retired: listed
                .iter()
                .filter(|name| self.origins.is_retired(name))
                .map(|name| name.as_str().into())
                .collect(),
            origins: usable,
            promote_bandwidth: promote_to.is_some().then(|| {
                let configured = raw.promote_bandwidth.map(|ByteRate(bytes)| bytes);
                configured.unwrap_or(PROMOTE_BANDWIDTH)
            }),
            promote_to,
            deletes: match raw.deletes {
                None | Some(RawDeletes::Hold) => Deletes::Hold,
                Some(RawDeletes::Follow) => Deletes::Follow,
            },
            deletes_brake: raw.deletes_brake.unwrap_or(Rate {
                count: 100,
                per: Duration::from_hours(1),
            }),
            cache_space: cache_space.into(),
            cache_control,
            filename_parameter,
            inline_types,
            repair_types: raw.repair_types.unwrap_or(true),
        })
    }

    fn name(&mut self, written: Option<String>, is_only_one: bool, taken: &mut Taken) -> String {
        let path = self.at("name");
        let name = match written {
            Some(name) => name,
            None if is_only_one => "media".to_owned(),
            None => {
                self.findings.refuse(Problem::new(
                    path,
                    "where there are several routes, each needs a name",
                    "write name = \"…\"; it appears in metrics and logs",
                ));
                return "media".to_owned();
            }
        };
        name::check(&path, "a route", &name, self.findings);
        if taken.names.contains(&name) {
            self.findings.refuse(
                Problem::new(path, "an earlier route has this name", "give it another")
                    .with_value(&name),
            );
        }
        taken.names.push(name.clone());
        name
    }

    fn urls(
        &mut self,
        written: Option<&crate::config::values::OneOrMany>,
        may_break: bool,
        name: &str,
        taken: &mut Taken,
    ) -> Vec<RouteUrl> {
        let key = self.at("url");
        let Some(written) = written.filter(|written| !written.items.is_empty()) else {
            self.findings.refuse(Problem::new(
                key,
                "a route needs a URL",
                "write url = \"https://s3.example.com/\", or \"/\" for any host",
            ));
            return Vec::new();
        };
        let mut urls = Vec::new();
        for (index, text) in written.items.iter().enumerate() {
            let path = written.path(&key, index);
            let url = match url::parse(text) {
                Ok(url) => url,
                Err((reason, remedy)) => {
                    self.findings.refuse(
                        Problem::new(path, reason, remedy).with_value(urls::without_secrets(text)),
                    );
                    continue;
                }
            };
            if let Some((_, other)) = taken.urls.iter().find(|(other, _)| other.equals(&url)) {
                self.findings.refuse(
                    Problem::new(
                        path,
                        format!("the route \"{other}\" answers there already (case, port and last slash make no difference)"),
                        "remove one, or give it another path or host",
                    )
                    .with_value(text),
                );
            } else {
                self.judge_path(&path, text, &url, may_break);
                taken.urls.push((url.clone(), name.to_owned()));
                urls.push(url);
            }
        }
        urls
    }

    fn judge_path(&mut self, path: &str, text: &str, url: &RouteUrl, may_break: bool) {
        if url.path == MISSKEYS_FILES && !may_break {
            self.findings.refuse(
                Problem::new(
                    path,
                    "Misskey answers /files/ itself: links to remote files, their types and names and their 410s exist nowhere else",
                    "use another path such as /storage/ or a sub-domain; on a host without Misskey set i_know_this_breaks_misskey = true",
                )
                .with_value(text),
            );
        }
        let below_files = url.path != MISSKEYS_FILES && url.path.starts_with(MISSKEYS_FILES);
        let shadowed = MISSKEYS_OWN
            .into_iter()
            .find(|own| url.path.starts_with(own));
        if let Some(own) = shadowed.or(below_files.then_some(MISSKEYS_FILES)) {
            self.findings.warn(
                Problem::new(
                    path,
                    format!("on its own host Misskey answers {own} itself"),
                    "use another path such as /storage/, unless this host has no Misskey",
                )
                .with_value(text),
            );
        }
    }
}
