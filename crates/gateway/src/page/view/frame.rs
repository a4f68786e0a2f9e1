//! What stands around the sections on every page, and the page of all sections.

use askama::Template;

use super::{Sections, time};
use crate::page::snapshot::Snapshot;
use crate::page::words::{Language, Words, fill};

/// The same for every page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) language: Language,
    pub(crate) tab: Tab,
}

/// Which page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Explain,
    Other,
}

impl Frame {
    /// Those that can be chosen.
    pub(super) const LANGUAGES: [Language; 2] = Language::ALL;

    pub(crate) fn new(language: Language, tab: Tab) -> Self {
        Self { language, tab }
    }

    /// The texts.
    pub(crate) fn words(self) -> &'static Words {
        self.language.words()
    }

    pub(super) fn is_overview(self) -> bool {
        self.tab == Tab::Overview
    }

    pub(super) fn is_explain(self) -> bool {
        self.tab == Tab::Explain
    }

    /// The same page of another language; what was typed is left behind.
    pub(super) fn path(self) -> &'static str {
        match self.tab {
            Tab::Explain => "/explain",
            Tab::Overview | Tab::Other => "/",
        }
    }

    /// Seconds after which a page loads itself again where scripts are off.
    pub(super) fn refresh(self) -> Option<u32> {
        (self.tab == Tab::Overview).then_some(30)
    }
}

/// The page of all sections.
#[derive(Template)]
#[template(path = "page.html")]
pub(crate) struct PageView<'s> {
    f: Frame,
    w: &'s Words,
    s: Sections<'s>,
    version: String,
}

impl<'s> PageView<'s> {
    pub(crate) fn of(f: Frame, snapshot: &'s Snapshot) -> Self {
        let w = f.words();
        Self {
            f,
            w,
            s: Sections::of(snapshot, f.language),
            version: fill(
                w.version,
                &[snapshot.version, &time(snapshot.uptime_seconds, w)],
            ),
        }
    }
}

/// The page of keys that the application has deleted.
#[derive(Template)]
#[template(path = "withdrawn.html")]
pub(crate) struct WithdrawnView<'s> {
    f: Frame,
    w: &'s Words,
    rows: Vec<WithdrawnRow>,
    /// Where the next page begins, as a query.
    next: Option<String>,
    /// Why there is no list.
    refused: Option<String>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct WithdrawnRow {
    pub(crate) route: String,
    pub(crate) origin: String,
    pub(crate) key: String,
    pub(crate) since: String,
    pub(crate) followed: bool,
}

impl WithdrawnView<'_> {
    pub(crate) fn of(
        f: Frame,
        listed: Result<(Vec<WithdrawnRow>, Option<String>), String>,
    ) -> Self {
        let w = f.words();
        let (rows, next, refused) = match listed {
            Ok((rows, next)) => (rows, next, None),
            Err(why) => (Vec::new(), None, Some(why)),
        };
        Self {
            f,
            w,
            rows,
            next,
            refused,
        }
    }
}
