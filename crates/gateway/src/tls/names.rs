//! Whether a certificate's name covers a host (RFC 9525 section 6.3).
//!
//! Pure. A wildcard stands for one whole label, the first; it covers neither the domain itself nor
//! what lies deeper.

/// Whether `host` is this very name, in any case.
pub(super) fn is(name: &str, host: &str) -> bool {
    name.eq_ignore_ascii_case(host)
}

/// Whether `name` is `host` or a wildcard that stands for it.
pub(super) fn covers(name: &str, host: &str) -> bool {
    let Some(domain) = name.strip_prefix("*.") else {
        return is(name, host);
    };
    let rest = host.split_once('.');
    rest.is_some_and(|(label, rest)| !label.is_empty() && is(domain, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let covered = |host| covers("*.example.com", host);
        assert!(covered("media.example.com") && covered("S3.Example.COM"));
        for host in [
            "example.com",
            ".example.com",
            "a.b.example.com",
            "media.example.org",
            "mediaexample.com",
            "",
        ] {
            assert!(!covered(host), "{host}");
        }
    }

    #[test]
    fn a_name_covers_itself_alone() {
        assert!(covers("media.example.com", "MEDIA.example.com"));
        assert!(!covers("example.com", "media.example.com"));
    }
}
