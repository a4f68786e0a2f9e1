//! Which content types a browser may show.
//!
//! The list is Misskey's. Everything else is offered as a download of no particular type: a
//! stored `text/html` or SVG would run its scripts on the media host. A type that a bad copy lost
//! is guessed from the content, but never into anything that is not on the list.

use file_format::FileFormat;
use http::HeaderValue;

const DOWNLOAD: &str = "application/octet-stream";

/// Shown in the browser.
const SAFE: &[&str] = &[
    "image/png",
    "image/gif",
    "image/jpeg",
    "image/webp",
    "image/avif",
    "image/apng",
    "image/bmp",
    "image/tiff",
    "image/x-icon",
    "image/vnd.mozilla.apng",
    "audio/opus",
    "audio/ogg",
    "audio/mp4",
    "audio/x-m4a",
    "audio/mpeg",
    "audio/webm",
    "audio/aac",
    "audio/flac",
    "audio/wav",
    "audio/x-flac",
    "audio/vnd.wave",
    "video/ogg",
    "video/quicktime",
    "video/mp4",
    "video/x-m4v",
    "video/3gpp",
    "video/3gpp2",
    "video/mpeg",
    "video/webm",
    "application/ogg",
];

/// Other names of safe types, which uploaders and detectors use.
const ALIASES: &[(&str, &str)] = &[
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/avif-sequence", "image/avif"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/vnd.microsoft.icon", "image/x-icon"),
    // What the detector says of an MP4 whose tracks stand behind the first bytes.
    ("application/mp4", "video/mp4"),
    // And of an MP3 that begins with its tags, as most do.
    ("application/x-id3v2", "audio/mpeg"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-mp3", "audio/mpeg"),
    ("audio/x-mpeg", "audio/mpeg"),
    ("audio/m4a", "audio/x-m4a"),
    ("audio/x-aac", "audio/aac"),
    ("audio/wave", "audio/wav"),
    ("audio/x-wav", "audio/wav"),
];

/// What a server or a copy tool writes when it does not know.
const GENERIC: &[&str] = &[
    DOWNLOAD,
    "binary/octet-stream",
    "application/x-octet-stream",
    "application/octetstream",
    "application/x-download",
    "application/download",
    "application/force-download",
    "application/x-force-download",
    "application/unknown",
];

/// How an object is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presentation {
    /// `Content-Type` as it is sent.
    pub content_type: HeaderValue,
    /// Whether it is offered as a download.
    pub attachment: bool,
}

impl Presentation {
    fn inline(content_type: HeaderValue) -> Self {
        Self {
            content_type,
            attachment: false,
        }
    }
}

/// Whether the stored type says nothing, so that looking at the content is worth while.
pub fn is_generic(stored: Option<&str>) -> bool {
    if stored.and_then(as_listed).is_some() {
        return false;
    }
    stored.and_then(essence).is_none_or(|essence| {
        GENERIC
            .iter()
            .any(|generic| generic.eq_ignore_ascii_case(essence))
    })
}

/// How an object of this stored type is shown. With the first bytes given, a generic type is
/// replaced by the safe one that the content shows. `inline_types` are shown as well; they are
/// `type/subtype` without parameters.
pub fn present(
    stored: Option<&str>,
    first_bytes: Option<&[u8]>,
    inline_types: &[String],
) -> Presentation {
    if let Some(safe) = stored.and_then(as_listed) {
        return Presentation::inline(HeaderValue::from_static(safe));
    }
    if let Some(stored) = stored
        && let Some(essence) = essence(stored)
    {
        let shown = is_safe(essence)
            || inline_types
                .iter()
                .any(|inline| inline.eq_ignore_ascii_case(essence));
        if shown {
            return Presentation::inline(as_stored(stored, essence));
        }
        if let Some(name) = usual_name(essence) {
            return Presentation::inline(HeaderValue::from_static(name));
        }
    }
    if is_generic(stored)
        && let Some(sniffed) = first_bytes.and_then(sniff)
    {
        return Presentation::inline(HeaderValue::from_static(sniffed));
    }
    Presentation {
        content_type: HeaderValue::from_static(DOWNLOAD),
        attachment: true,
    }
}

/// A safe type that is written as on the list, as most are: nothing of it is to be looked at.
fn as_listed(stored: &str) -> Option<&'static str> {
    SAFE.iter().find(|safe| **safe == stored).copied()
}

fn is_safe(essence: &str) -> bool {
    SAFE.iter().any(|safe| safe.eq_ignore_ascii_case(essence))
}

fn usual_name(essence: &str) -> Option<&'static str> {
    ALIASES
        .iter()
        .find(|(alias, _)| alias.eq_ignore_ascii_case(essence))
        .map(|(_, name)| *name)
}

fn sniff(first_bytes: &[u8]) -> Option<&'static str> {
    let format = FileFormat::from_bytes(first_bytes);
    let found = format.media_type();
    usual_name(found).or_else(|| SAFE.iter().find(|safe| **safe == found).copied())
}

/// `type/subtype`, where the text begins with one (RFC 9110 section 8.3.1).
fn essence(stored: &str) -> Option<&str> {
    let essence = stored.split(';').next()?.trim();
    let (kind, subtype) = essence.split_once('/')?;
    (is_token(kind) && is_token(subtype)).then_some(essence)
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Parameters are left out where a comma or a backslash stands in them: a browser takes
/// `image/png;a, text/html` for two types and believes the second.
fn as_stored(stored: &str, essence: &str) -> HeaderValue {
    let stored = stored.trim();
    let plain = stored
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'\\'));
    HeaderValue::from_str(if plain { stored } else { essence })
        .expect("printable ASCII is a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0";
    const WEBM: &[u8] = b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm";
    const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script/></svg>";
    const HTML: &[u8] = b"<!DOCTYPE html><html><script>alert(1)</script></html>";

    fn shown(stored: &str) -> (String, bool) {
        let shown = present(Some(stored), None, &["application/pdf".to_owned()]);
        let text = shown.content_type.to_str().unwrap().to_owned();
        (text, shown.attachment)
    }

    #[test]
    fn safe_types_are_shown_as_stored() {
        for safe in SAFE {
            assert_eq!(shown(safe), ((*safe).to_owned(), false));
        }
        for stored in ["Image/PNG", "audio/ogg; codecs=opus", "application/PDF;a=b"] {
            assert_eq!(shown(stored), (stored.to_owned(), false));
        }
    }

    #[test]
    fn everything_else_is_a_download() {
        for stored in [
            "text/html",
            "image/svg+xml",
            "IMAGE/SVG+XML",
            "text/xml",
            "application/xhtml+xml",
            "text/plain",
            "application/javascript",
            "multipart/form-data",
            "image/*",
            "image",
            "image/png/x",
            "image/png, text/html",
            "image/p\u{b}ng",
            "",
            ";image/png",
        ] {
            assert_eq!(shown(stored), (DOWNLOAD.to_owned(), true), "{stored:?}");
        }
        assert!(present(None, None, &[]).attachment);
        assert!(present(Some("application/pdf"), None, &[]).attachment);
    }

    #[test]
    fn a_second_type_cannot_hide_in_a_parameter() {
        for stored in [
            "image/png;a, text/html",
            "image/png;a=\"\\\", text/html;\"",
            "image/png;é",
            "image/png;\r\nX-Injected: 1",
        ] {
            assert_eq!(shown(stored), ("image/png".to_owned(), false), "{stored:?}");
        }
    }

    #[test]
    fn other_names_of_safe_types_become_the_usual_one() {
        for (alias, name) in ALIASES {
            assert!(SAFE.contains(name), "{name}");
            assert_eq!(shown(&alias.to_uppercase()), ((*name).to_owned(), false));
        }
        let inline = ["audio/x-wav".to_owned()];
        let kept = present(Some("audio/x-wav"), None, &inline);
        assert_eq!(kept.content_type, "audio/x-wav");
    }

    #[test]
    fn generic_types_are_recognised() {
        for generic in [
            "application/octet-stream",
            "Binary/Octet-Stream; charset=x",
            "application/x-download",
            "",
            "unknown",
            "/",
        ] {
            assert!(is_generic(Some(generic)), "{generic:?}");
        }
        assert!(is_generic(None));
        for telling in ["image/png", "text/html", "application/zip"] {
            assert!(!is_generic(Some(telling)), "{telling:?}");
        }
    }

    #[test]
    fn a_lost_type_is_repaired_by_a_safe_one_only() {
        let repaired = |bytes: &[u8]| present(Some("binary/octet-stream"), Some(bytes), &[]);
        for (bytes, name) in [
            (PNG, "image/png"),
            (WEBP, "image/webp"),
            (WEBM, "video/webm"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "video/mp4"),
            (b"\0\0\x01\0\x01\0\x10\x10", "image/x-icon"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
        ] {
            assert_eq!(repaired(bytes).content_type, name);
            assert!(!repaired(bytes).attachment);
        }
        for bytes in [
            SVG,
            HTML,
            b"%PDF-1.7\n",
            b"<?xml version='1.0'?>",
            b"",
            b"x",
        ] {
            assert_eq!(repaired(bytes).content_type, DOWNLOAD);
            assert!(repaired(bytes).attachment);
        }
    }

    #[test]
    fn a_stored_type_that_says_something_is_never_sniffed_away() {
        assert!(present(Some("text/html"), Some(PNG), &[]).attachment);
        let stored = present(Some("image/gif"), Some(HTML), &[]);
        assert_eq!(stored.content_type, "image/gif");
    }

    proptest! {
        #[test]
        fn whatever_is_stored_only_safe_types_are_shown(
            stored in "(image/(png|svg\\+xml)|text/html|\\PC{0,8})[;, ]{0,2}\\PC{0,20}",
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let shown = present(Some(&stored), Some(&bytes), &[]);
            let text = shown.content_type.to_str().unwrap();
            let essence = text.split(';').next().unwrap().trim();
            prop_assert!(shown.attachment == (text == DOWNLOAD));
            prop_assert!(shown.attachment || is_safe(essence));
            prop_assert!(!text.contains(','));
        }
    }
}
