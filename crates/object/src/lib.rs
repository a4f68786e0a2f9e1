//! The words that every other crate speaks: keys, ranges, validators, heads and bodies.
//!
//! Vocabulary only. Nothing here performs I/O, knows a runtime, an HTTP stack, a clock or a
//! configuration; what a word means to an origin or to a client is decided elsewhere.

mod body;
mod head;
mod key;
mod part;
mod proof;
mod range;
mod validator;

pub use body::{BodyError, Interruption, ObjectBody};
pub use head::ObjectHead;
pub use key::{InvalidKey, MAX_KEY_BYTES, ObjectKey, RESERVED_NAME};
pub use part::{Extent, Part};
pub use proof::{Digest, Md5Etag, Proofs};
pub use range::{ByteRange, RangeRequest};
pub use validator::Validator;
