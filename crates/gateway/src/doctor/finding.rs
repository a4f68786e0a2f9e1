//! What an examination found, one line at a time.
//!
//! Data only. A finding never holds a credential, a signed URL or an object's bytes.

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Notice,
    /// It works, and may not be what is wanted.
    Warning,
    /// It does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `origins.current`, `routes.media`, `state.directory`, `memory`.
    pub subject: String,
    /// What was looked at.
    pub check: Check,
    /// How much it matters.
    pub level: Level,
    /// What it is like.
    pub what: String,
    /// What to do; empty where nothing need be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether it takes part at all.
    State,
    /// Whether it answers, and how fast.
    Reachable,
    /// Whether the storage accepts our keys.
    Credentials,
    /// Whether keys that are known to be there are there.
    Canary,
    /// What a key gets that nobody can have uploaded.
    AbsentKey,
    /// Whether its clock agrees with ours.
    Clock,
    /// Whether the right volume is mounted.
    Marker,
    /// The device and its space.
    Disk,
    /// Whether files can be read.
    Permissions,
    /// Whether copies can be written.
    Writing,
    /// Whether anyone can list it.
    Listing,
    /// What lies in it beside what the routes publish.
    Unpublished,
    /// Whether what the routes publish lies in it.
    Published,
    /// Whether a route's host resolves.
    Dns,
    /// Which certificates clients are shown.
    Certificate,
    /// Whether a directory of the gateway can be used.
    Directory,
    /// Whether a unix socket can be listened on.
    Socket,
    /// What the process may take.
    Memory,
}

impl Check {
    /// What it is called for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Reachable => "reachable",
            Self::Credentials => "credentials",
            Self::Canary => "canary",
            Self::AbsentKey => "absent key",
            Self::Clock => "clock",
            Self::Marker => "marker",
            Self::Disk => "disk",
            Self::Permissions => "permissions",
            Self::Writing => "writing",
            Self::Listing => "listing",
            Self::Unpublished => "unpublished",
            Self::Published => "published",
            Self::Dns => "dns",
            Self::Certificate => "certificate",
            Self::Directory => "directory",
            Self::Socket => "socket",
            Self::Memory => "memory",
        }
    }
}

/// The findings about one subject, as they come.
#[derive(Debug)]
pub(super) struct Findings {
    subject: String,
    list: Vec<Finding>,
}

impl Findings {
    pub(super) fn about(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            list: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, check: Check, what: impl Into<String>) {
        self.add(Level::Ok, check, what, "");
    }

    pub(super) fn add(
        &mut self,
        level: Level,
        check: Check,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.list.push(Finding {
            subject: self.subject.clone(),
            check,
            level,
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }
}
