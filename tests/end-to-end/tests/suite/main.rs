//! The gateway as its users meet it: over real sockets, with origins that fail on demand.

mod face;
mod fleet;
mod journey;
mod kept;
mod page;
mod process;
mod proxies;
