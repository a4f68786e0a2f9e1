//! Rules of this repository that no compiler knows: where a library may be named, how files
//! look, and that what the documents name exists.
//!
//! Every rule is pure, over paths and texts; only [`Tree::read`] touches the disk. What clippy
//! or cargo-deny can say is left to them, except where a wall runs inside a crate.

mod documents;
mod examples;
mod finding;
mod leaks;
mod markdown;
mod metrics;
mod rust;
mod style;
mod tree;
mod unfinished;
mod walls;

pub use documents::{broken_links, missing_paths};
pub use examples::unmentioned_examples;
pub use finding::Finding;
pub use leaks::leaks;
pub use metrics::unknown_metrics;
pub use style::{headers, lengths};
pub use tree::Tree;
pub use unfinished::{ignored_tests, unfinished};
pub use walls::{cacache_in_one_file, spawned_tasks, walls};
