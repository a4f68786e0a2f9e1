//! Names of origins, routes and cache spaces: they become metric labels and directory names.

use super::findings::Findings;
use super::problem::Problem;

const MAX_BYTES: usize = 64;

/// Refuses a name that is not `[a-z0-9_-]+`.
pub(super) fn check(path: &str, whose: &str, name: &str, findings: &mut Findings) {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
    };
    if name.is_empty() || name.len() > MAX_BYTES || !name.bytes().all(plain) {
        findings.refuse(
            Problem::new(
                path,
                format!("not a name for {whose}"),
                format!("use 1 to {MAX_BYTES} of a-z, 0-9, _ and -"),
            )
            .with_value(name),
        );
    }
}
