//! A number of bytes: `20 GB` (decimal), `512 MiB` (binary).

use std::str::FromStr;

use super::Text;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

impl Text for Size {
    const EXPECTED: &'static str = r#"a size such as "20 GB" or "512 MiB""#;
    const NAME: &'static str = "Size";
    const PATTERN: &'static str = r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpP][iI]?)?[bB]?\s*$";

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        // The library takes a bare number for bytes; nobody means that.
        let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
        let size = bytesize::ByteSize::from_str(text).ok()?;
        (has_unit && size.0 < u64::MAX).then_some(Self(size.0))
    }
}

super::from_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_decimal_unless_they_say_otherwise() {
        assert_eq!(Size::read("20 GB"), Some(Size(20_000_000_000)));
        assert_eq!(Size::read("16KiB"), Some(Size(16_384)));
        assert_eq!(Size::read("1.5 MB"), Some(Size(1_500_000)));
        assert_eq!(Size::read("0 B"), Some(Size(0)));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "",
            "20",
            "GB",
            "-1 GB",
            "20 XB",
            "20 GB/s",
            "1e3 GB",
            "99999999999 PB",
        ] {
            assert_eq!(Size::read(text), None, "{text}");
        }
    }
}
