//! What changes something: first what would be done, and only then, with the token, that.

use askama::Template;

use super::{Frame, Tone};
use crate::page::words::Words;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirm {
    Purge,
    Tombstone,
}

impl Confirm {
    fn is_purge(self) -> bool {
        self == Self::Purge
    }

    /// Where its form is, and is sent to.
    fn path(self) -> &'static str {
        match self {
            Self::Purge => "/purge",
            Self::Tombstone => "/tombstone",
        }
    }
}

/// The page on which it is confirmed; without places only the form before that.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct FormView<'f> {
    f: Frame,
    w: &'f Words,
    what: Confirm,
    /// What was typed.
    target: &'f str,
    below: bool,
    reason: &'f str,
    /// Why it means nothing here.
    refused: Option<String>,
    /// What it would be done to.
    places: Vec<String>,
}

impl<'f> FormView<'f> {
    pub(crate) fn new(
        f: Frame,
        what: Confirm,
        (target, below, reason): (&'f str, bool, &'f str),
        found: Result<Vec<String>, String>,
    ) -> Self {
        let (places, refused) = match found {
            Ok(places) => (places, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Self {
            w: f.words(),
            f,
            what,
            target,
            below,
            reason,
            refused,
            places,
        }
    }
}

/// What has become of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done {
        said: String,
        but: Option<&'static str>,
    },
    Refused(String),
}

/// The page that says so.
#[derive(Template)]
#[template(path = "outcome.html")]
pub(crate) struct OutcomeView<'o> {
    f: Frame,
    w: &'o Words,
    tone: Tone,
    title: &'static str,
    said: String,
    but: Option<&'static str>,
}

impl OutcomeView<'_> {
    pub(crate) fn of(f: Frame, outcome: Outcome) -> Self {
        let w = f.words();
        let (tone, title, said, but) = match outcome {
            Outcome::Done { said, but: None } => (Tone::Good, w.done, said, None),
            Outcome::Done { said, but } => (Tone::Warn, w.done, said, but),
            Outcome::Refused(why) => (Tone::Bad, w.refused, why, None),
        };
        Self {
            f,
            w,
            tone,
            title,
            said,
            but,
        }
    }
}
