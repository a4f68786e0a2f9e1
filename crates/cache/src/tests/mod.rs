//! The cache as its users see it: over a real directory, before origins that do what a test says.

mod aging;
mod ending;
mod fake;
mod fixture;
mod interleaved;
mod known;
mod opening;
