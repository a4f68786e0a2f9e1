//! Which bytes of an object are asked for, and which an answer brings.

use crate::{ByteRange, RangeRequest};

/// Which bytes of an object are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// None: only whether it is there, and its head. Never by HTTP HEAD, whose errors have no
    /// body to judge them by.
    Head,
    /// All of them.
    Whole,
    /// A range.
    Range(RangeRequest),
}

/// Which bytes an answer's body brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// No body: the question was [`Part::Head`].
    None,
    /// Exactly these; the head's length is known. The whole, where an origin ignored a range that
    /// begins far behind.
    Bytes(ByteRange),
    /// The whole, whose length only the end tells; also where a range was asked for.
    Unbounded,
    /// None of the wanted bytes exist; the head's length says how many do.
    Unsatisfiable,
}
