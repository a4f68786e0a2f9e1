//! The content type of a file about which nothing is written.
//!
//! The bytes decide; the name's extension, which uploaders choose, is believed only where the
//! bytes say no more than "some text" or "some container". Pure.

use file_format::FileFormat;

/// How many first bytes are worth looking at; tar's signature is at 257, ISO 9660's further off
/// than any web picture or sound puts its own.
pub(super) const SNIFFED_BYTES: usize = 8 * 1024;

/// The type of a file with this name and these first bytes; `None` where nobody can tell.
pub(super) fn of(name: &str, first_bytes: &[u8]) -> Option<Box<str>> {
    let format = FileFormat::from_bytes(first_bytes);
    let Some(Generic { otherwise, allowed }) = generic(format) else {
        return Some(format.media_type().into());
    };
    mime_guess::from_path(name)
        .first_raw()
        .filter(|hint| allowed.iter().any(|start| hint.starts_with(start)))
        .or(otherwise)
        .map(Into::into)
}

/// What a format that says little leaves to the extension.
struct Generic {
    otherwise: Option<&'static str>,
    /// How a believable hint begins.
    allowed: &'static [&'static str],
}

fn generic(format: FileFormat) -> Option<Generic> {
    let (otherwise, allowed): (_, &[&str]) = match format {
        FileFormat::ArbitraryBinaryData | FileFormat::Empty => (None, &[""]),
        FileFormat::PlainText => (Some("text/plain"), &["text/", "application/"]),
        FileFormat::ExtensibleMarkupLanguage => (
            Some("text/xml"),
            &["text/", "application/", "image/svg+xml"],
        ),
        FileFormat::Zip => (Some("application/zip"), &["application/"]),
        FileFormat::OggMultiplexedMedia => (Some("application/ogg"), &["audio/", "video/"]),
        FileFormat::Mpeg4Part14 => (Some("video/mp4"), &["audio/", "video/"]),
        // A tag in front of music, which is an MP3 unless its name says otherwise.
        FileFormat::Id3v2 => (Some("audio/mpeg"), &["audio/"]),
        FileFormat::ExtensibleBinaryMetaLanguage => (None, &["audio/", "video/"]),
        _ => return None,
    };
    Some(Generic { otherwise, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\
                          \x42\xf3\x81\x08\x42\x82\x84webm\x42\x87\x81\x04";

    #[test]
    fn the_bytes_win_over_the_name() {
        for name in ["misskey/0b3c", "a.jpg", "a.html", "a.exe"] {
            assert_eq!(of(name, PNG).as_deref(), Some("image/png"), "{name}");
        }
        assert_eq!(
            of("a.png", b"<!DOCTYPE html><p>").as_deref(),
            Some("text/html")
        );
    }

    #[test]
    fn media_is_recognised_without_a_name() {
        for (bytes, expected) in [
            (&b"RIFF\x24\0\0\0WEBPVP8 "[..], "image/webp"),
            (b"GIF89a", "image/gif"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "image/avif"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
            (WEBM, "video/webm"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (
                b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
                "image/svg+xml",
            ),
            (b"<?xml version=\"1.0\"?>\n<svg/>", "image/svg+xml"),
        ] {
            assert_eq!(of("0b3c", bytes).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_extension_helps_where_the_bytes_say_little() {
        assert_eq!(of("a.css", b"p {}").as_deref(), Some("text/css"));
        assert_eq!(of("A.TXT", b"hello").as_deref(), Some("text/plain"));
        assert_eq!(
            of("a.m4a", b"\0\0\0\x18ftypisom").as_deref(),
            Some("audio/m4a")
        );
        assert_eq!(
            of("a.epub", b"PK\x03\x04").as_deref(),
            Some("application/epub+zip")
        );
        assert_eq!(
            of("a.png", b"PK\x03\x04").as_deref(),
            Some("application/zip")
        );
    }

    #[test]
    fn nothing_is_claimed_of_what_nobody_knows() {
        assert_eq!(of("0b3c", b"\0\x01\x02\x03"), None);
        assert_eq!(of("0b3c", b""), None);
    }
}
