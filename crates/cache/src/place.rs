//! What an object is called here: a cache space and the key in it, exactly.

use std::sync::Arc;

use object::ObjectKey;

/// A key in a cache space. Two of them are equal only if both parts are, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) space: Arc<str>,
    pub(crate) key: ObjectKey,
}
