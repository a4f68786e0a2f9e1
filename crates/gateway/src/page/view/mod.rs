//! What each section of the page shows, in words, made from a [`Snapshot`].
//!
//! Pure: no clock, no server. Texts that come from a request, an origin or a database are put into
//! fields as they are; the templates escape every field.

mod cache;
mod explain;
mod forms;
mod frame;
mod migration;
mod origins;
mod overview;

use super::snapshot::Snapshot;
use super::words::{Language, Words, fill};

pub(crate) use cache::CacheView;
pub(crate) use explain::ExplainView;
pub(crate) use forms::{Confirm, FormView, Outcome, OutcomeView};
pub(crate) use frame::{Frame, PageView, Tab, WithdrawnRow, WithdrawnView};
pub(crate) use migration::MigrationView;
pub(crate) use origins::OriginsView;
pub(crate) use overview::OverviewView;

/// How good something is; names a class of the style sheet. Never said by colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Calm,
    Good,
    Warn,
    Bad,
}

impl Tone {
    /// Its class.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// Its sign, for those who do not see colours.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Calm => "○",
            Self::Good => "✓",
            Self::Warn => "!",
            Self::Bad => "✕",
        }
    }
}

/// A name and what belongs to it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// How much of something is used or done.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: String,
    /// From 0 to 1000.
    pub(crate) per_mille: u64,
}

impl Bar {
    /// `of` a whole; an empty bar where there is no whole.
    pub(crate) fn new(
        name: impl Into<String>,
        value: impl Into<String>,
        of: u64,
        whole: u64,
    ) -> Self {
        let per_mille = u128::from(of) * 1000 / u128::from(whole.max(1));
        Self {
            name: name.into(),
            value: value.into(),
            per_mille: u64::try_from(per_mille).unwrap_or(1000).min(1000),
        }
    }
}

/// The four sections that change by themselves.
pub(crate) struct Sections<'s> {
    pub(crate) overview: OverviewView<'s>,
    pub(crate) origins: OriginsView<'s>,
    pub(crate) migration: MigrationView<'s>,
    pub(crate) cache: CacheView<'s>,
}

impl<'s> Sections<'s> {
    /// What a snapshot shows in a language.
    pub(crate) fn of(snapshot: &'s Snapshot, language: Language) -> Self {
        Self {
            overview: OverviewView::of(snapshot, language),
            origins: OriginsView::of(snapshot, language),
            migration: MigrationView::of(snapshot, language),
            cache: CacheView::of(snapshot, language),
        }
    }
}

/// A time in words, with its greatest unit only.
pub(crate) fn time(seconds: u64, words: &Words) -> String {
    let (unit, count) = match seconds {
        0..120 => (words.second, seconds),
        120..7_200 => (words.minute, seconds / 60),
        7_200..172_800 => (words.hour, seconds / 3_600),
        _ => (words.day, seconds / 86_400),
    };
    fill(unit, &[&super::numbers::count(count)])
}

/// How long ago something was.
pub(crate) fn ago(seconds: u64, words: &Words) -> String {
    fill(words.ago, &[&time(seconds, words)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_unit() {
        let words = Language::English.words();
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(time(seconds, words), text);
        }
        assert_eq!(ago(300, Language::Japanese.words()), "5分前");
    }

    #[test]
    fn a_bar_is_never_longer_than_its_whole() {
        for (of, whole, expected) in [
            (0, 0, 0),
            (1, 2, 500),
            (9, 3, 1000),
            (u64::MAX, u64::MAX, 1000),
        ] {
            assert_eq!(Bar::new("", "", of, whole).per_mille, expected);
        }
    }
}
