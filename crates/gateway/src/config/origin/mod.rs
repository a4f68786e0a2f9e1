//! The places where objects live: what is written, and what the resolver gets.
//!
//! A retired origin is checked for its name and nothing else, and never becomes settings: its
//! keys may be gone already, and nothing may contact it.

mod kinds;
mod presets;
mod raw;
mod rewrite;
mod s3;

use std::collections::BTreeMap;
use std::time::Duration;

use object::ObjectKey;
use origin_resolver::{Canary, ForbiddenMeans, Kind, OriginSettings, OriginState, ReadAs};

use super::findings::Findings;
use super::problem::Problem;
use super::values::{Budget, OneOrMany, Span};
pub(super) use raw::RawOrigin;
use raw::{RawCacheTier, RawKind, RawState};
pub(super) use rewrite::unfit_prefix;

/// Questions to one origin that wait for an answer at one time, unless the file says otherwise.
const MAX_CONCURRENCY: usize = 128;

/// One origin that is not retired.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// What the resolver needs to read from it.
    pub settings: OriginSettings,
    /// Which copies of its objects are kept.
    pub cache: CacheTier,
    /// What background work may read from it.
    pub max_egress: Option<Budget>,
    /// How objects are written to it, if they can be.
    pub writing: Option<Writing>,
}

/// Which copies of an origin's objects are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheTier {
    /// In memory and on disk.
    Disk,
    /// In memory only.
    Memory,
    /// None.
    None,
}

/// How objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// With the credentials; the flag asks for the ACL `public-read`.
    S3 {
        /// Whether each object is made readable to everybody.
        public_read: bool,
    },
    /// Below the directory.
    Filesystem {
        /// Bytes of its disk that stay free.
        min_free_bytes: u64,
    },
}

impl Origin {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether reading shows the public more than a stranger could see: then a route has to list
    /// what it publishes.
    pub fn signs_its_reads(&self) -> bool {
        matches!(&self.settings.kind, Kind::S3(s3) if s3.credentials.is_some() && s3.read == ReadAs::Signed)
    }
}

/// Every origin of the file.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Those that take part, sorted by name.
    pub(super) usable: Vec<Origin>,
    /// Those that must never be contacted again.
    pub(super) retired: Vec<Box<str>>,
    /// Those whose settings are refused; routes may still name them.
    pub(super) broken: Vec<Box<str>>,
}

impl Origins {
    /// Whether the file has an origin of that name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Every name in the file.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let rest = self.retired.iter().chain(&self.broken);
        let usable = self.usable.iter().map(Origin::name);
        usable.chain(rest.map(AsRef::as_ref))
    }

    /// The usable origin of that name.
    pub(super) fn get(&self, name: &str) -> Option<&Origin> {
        self.usable.iter().find(|origin| origin.name() == name)
    }

    /// Whether it is retired.
    pub(super) fn is_retired(&self, name: &str) -> bool {
        self.retired.iter().any(|retired| **retired == *name)
    }
}

pub(super) fn check(raw: BTreeMap<String, RawOrigin>, findings: &mut Findings) -> Origins {
    let mut origins = Origins::default();
    for (name, raw) in raw {
        let path = format!("origins.{name}");
        super::name::check(&path, "an origin", &name, findings);
        let boxed: Box<str> = name.as_str().into();
        if raw.state == Some(RawState::Retired) {
            origins.retired.push(boxed);
            continue;
        }
        let before = findings.problem_count();
        match check_one(&name, &path, raw, findings) {
            Some(origin) if findings.problem_count() == before => origins.usable.push(origin),
            _ => origins.broken.push(boxed),
        }
    }
    origins
}

fn check_one(name: &str, path: &str, raw: RawOrigin, findings: &mut Findings) -> Option<Origin> {
    let Some(kind) = raw.kind else {
        findings.refuse(Problem::new(
            format!("{path}.kind"),
            "an origin needs a kind",
            "write kind = \"s3\", \"http\" or \"filesystem\"",
        ));
        return None;
    };
    kinds::refuse_keys_of_other_kinds(kind, path, &raw, findings);
    let preset = raw.provider.map(presets::of);
    let timing = Timing::check(path, &raw, findings);
    let max_requests_per_second = match raw.max_requests {
        Some(rate) if rate.count == 0 => {
            refuse_zero(&format!("{path}.max_requests"), "0", findings);
            None
        }
        Some(rate) => Some(rate.per_second()),
        None => preset.and_then(|preset| preset.max_requests_per_second),
    };
    if raw.max_concurrency == Some(0) {
        refuse_zero(&format!("{path}.max_concurrency"), "0", findings);
    }
    let forbidden_means = raw
        .forbidden_means
        .map_or(ForbiddenMeans::Unknown, Into::into);
    if forbidden_means == ForbiddenMeans::Missing {
        findings.warn(Problem::new(
            format!("{path}.forbidden_means"),
            "every 403 of this origin becomes \"not found\", also one for expired keys or too many requests",
            "leave it at \"unknown\" unless you know that this storage answers 403 for absent keys and never else",
        ).with_value("missing"));
    }
    let canary = check_canary(path, raw.canary.as_ref(), findings);
    let rewrite = rewrite::check(path, raw.rewrite.as_deref().unwrap_or_default(), findings);
    let cache = match (raw.cache, kind) {
        (Some(RawCacheTier::Disk), _) | (None, RawKind::S3 | RawKind::Http) => CacheTier::Disk,
        (Some(RawCacheTier::Memory), _) | (None, RawKind::Filesystem) => CacheTier::Memory,
        (Some(RawCacheTier::None), _) => CacheTier::None,
    };
    let state = match raw.state {
        Some(RawState::Rehearsal) => OriginState::Rehearsal,
        _ => OriginState::Active,
    };
    let max_egress = raw.max_egress;
    let max_concurrency = raw.max_concurrency.unwrap_or(MAX_CONCURRENCY);
    let (kind, writing) = kinds::check(kind, path, raw, preset, findings)?;
    Some(Origin {
        settings: OriginSettings {
            name: name.into(),
            kind,
            state,
            rewrite,
            canary,
            forbidden_means,
            connect_timeout: timing.connect,
            first_byte_timeout: timing.first_byte,
            idle_timeout: timing.idle,
            hedge_after: timing.hedge_after,
            max_requests_per_second,
            max_concurrency,
        },
        cache,
        max_egress,
        writing,
    })
}

struct Timing {
    connect: Duration,
    first_byte: Duration,
    idle: Duration,
    hedge_after: Duration,
}

impl Timing {
    fn check(path: &str, raw: &RawOrigin, findings: &mut Findings) -> Self {
        let mut time = |key: &str, written: Option<Span>, default_millis: u64| match written {
            Some(Span(Duration::ZERO)) => {
                refuse_zero(&format!("{path}.{key}"), "0s", findings);
                Duration::from_millis(default_millis)
            }
            Some(span) => span.0,
            None => Duration::from_millis(default_millis),
        };
        Self {
            connect: time("connect_timeout", raw.connect_timeout, 2_000),
            first_byte: time("first_byte_timeout", raw.first_byte_timeout, 5_000),
            idle: time("idle_timeout", raw.idle_timeout, 15_000),
            hedge_after: time("hedge_after", raw.hedge_after, 400),
        }
    }
}

fn refuse_zero(path: &str, value: &str, findings: &mut Findings) {
    findings.refuse(
        Problem::new(
            path,
            "with this the origin could never be asked",
            "write more than zero",
        )
        .with_value(value),
    );
}

fn check_canary(path: &str, written: Option<&OneOrMany>, findings: &mut Findings) -> Canary {
    let Some(written) = written else {
        return Canary::Auto;
    };
    if !written.is_list && written.items[0] == "auto" {
        return Canary::Auto;
    }
    let key = format!("{path}.canary");
    if written.items.is_empty() {
        findings.refuse(Problem::new(
            &key,
            "an empty list proves nothing",
            "write \"auto\", or keys that this origin will always have",
        ));
    }
    let mut keys = Vec::new();
    for (index, text) in written.items.iter().enumerate() {
        match ObjectKey::parse(text) {
            Ok(parsed) => keys.push(parsed),
            Err(error) => findings.refuse(
                Problem::new(
                    written.path(&key, index),
                    error.to_string(),
                    "write a key as the origin spells it, without its URL",
                )
                .with_value(text),
            ),
        }
    }
    Canary::Keys(keys)
}
