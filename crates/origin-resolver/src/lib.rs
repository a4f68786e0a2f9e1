//! Asks ordered origins for an object until one has it, and tells the truth about the rest.
//!
//! The parts, from the outside in: a [`Resolver`] walks the origins of one route; a
//! [`GuardedOrigin`] adds to any kind of origin what all kinds need (timeouts, breaker, limits,
//! canaries, counting); an [`Origin`] translates one question into its protocol and the answer
//! into a verdict. Nothing here knows clients, routes' URLs or the cache.

mod alone;
mod background;
mod backoff;
mod bandwidth;
mod breaker;
mod budget;
mod canaries;
mod examination;
mod guarded;
mod heir;
mod hints;
mod judgement;
mod names;
mod observer;
mod origin;
mod origins;
mod pace;
mod rescue;
mod resolver;
mod rest;
mod rounds;
mod settings;
mod standing;
mod store;
mod tokens;
mod turns;
mod verdict;
mod walk;
mod watched;

pub use bandwidth::Bandwidth;
pub use budget::{Budget, Means, Unaffordable};
pub use examination::Examination;
pub use guarded::GuardedOrigin;
pub use names::Names;
pub use object::{Extent, Part};
pub use observer::{OriginObserver, SaveCause, Unobserved, VerdictLabel};
pub use origin::{Access, Answer, Origin, Question, Reply};
pub use origins::{BuildError, Filesystem, RootReport, build, put_held_bytes, put_requests};
pub use resolver::{Outcome, Resolution, Resolved, Resolver};
pub use rest::Rest;
pub use settings::{
    Addressing, Canary, Credentials, FilesystemSettings, ForbiddenMeans, HttpSettings, IpVersions,
    Kind, MissingMeans, OriginSettings, OriginState, Provider, ReadAs, RewriteRule, S3Settings,
};
pub use standing::Standing;
pub use store::{
    Aside, Capacity, Cursor, Erased, Kept, Listed, Misfit, Page, Put, PutError, Store, Stored,
    Turns, Unfit, Unpaced,
};
pub use turns::SharedTurns;
pub use verdict::{Failure, Reason, Verdict};
pub use walk::{TrailStep, conclude};

#[cfg(test)]
mod tests;
