//! Numbers and texts as bytes, and back.
//!
//! Pure. Reading never panics: what does not fit is `None`, and the whole record is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Texts are cut to this many bytes; none of ours is longer but a key, which is checked.
const MOST_TEXT: usize = u16::MAX as usize;

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = shortened(text, MOST_TEXT);
    let length = u16::try_from(text.len()).expect("it was shortened to that");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

/// An absent text is told from an empty one by a byte before it.
pub(crate) fn put_option(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

/// The text, or as much of its beginning as so many bytes hold.
pub(crate) fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Whole seconds since 1970 and one more; 0 where there is no time.
pub(crate) fn time_to_number(time: Option<SystemTime>) -> u64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs().saturating_add(1))
}

pub(crate) fn number_to_time(number: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(number.checked_sub(1)?))
}

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'b>(pub(crate) &'b [u8]);

impl<'b> Reading<'b> {
    pub(crate) fn is_over(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn count(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'b str> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    #[expect(
        clippy::option_option,
        reason = "the outer one is what cannot be read, the inner one an absent text"
    )]
    pub(crate) fn option(&mut self) -> Option<Option<&'b str>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.text().map(Some),
            _ => None,
        }
    }
}
