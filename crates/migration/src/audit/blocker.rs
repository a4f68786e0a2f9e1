//! What stands against switching an origin off.
//!
//! Only names; what counts as one is decided elsewhere.

use serde::Serialize;

/// What stands against switching an origin off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Blocker {
    /// What it is.
    #[serde(flatten)]
    pub what: Against,
    /// The key, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// The route, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<str>>,
}

/// The sorts of what stands against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(tag = "blocker", rename_all = "snake_case")]
pub enum Against {
    /// The application writes to it.
    UploadsTo,
    /// Promotions go to it.
    PromoteTo,
    /// A route has no other origin.
    OnlyOrigin,
    /// Promotions are still waiting.
    PromotionsWaiting {
        /// How many.
        waiting: u64,
    },
    /// It is nowhere else.
    Missing,
    /// It is elsewhere with another length only.
    Length {
        /// Here, in bytes.
        here: u64,
        /// There.
        there: u64,
    },
    /// It is elsewhere with another content only.
    Content,
    /// It is elsewhere with the same length, without proof.
    Unproven,
    /// It was written lately.
    Young {
        /// When, in seconds since 1970; nothing where that is not told.
        modified: Option<u64>,
    },
    /// The cache has a copy that came from here, and no origin has it any more.
    OnlyCached,
    /// Only this origin could give it, as it rehearsed.
    Save {
        /// When that was first so, in seconds since 1970.
        first: u64,
        /// How often.
        count: u64,
    },
}

impl Against {
    /// A number for its sort.
    pub(super) fn sort(&self) -> usize {
        match self {
            Self::UploadsTo => 0,
            Self::PromoteTo => 1,
            Self::OnlyOrigin => 2,
            Self::PromotionsWaiting { .. } => 3,
            Self::Missing => 4,
            Self::Length { .. } => 5,
            Self::Content => 6,
            Self::Unproven => 7,
            Self::Young { .. } => 8,
            Self::OnlyCached => 9,
            Self::Save { .. } => 10,
        }
    }
}

pub(super) const SORTS: usize = 11;
