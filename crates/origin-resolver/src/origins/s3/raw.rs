//! One page of a listing as a provider sent it, and its keys byte for byte.
//!
//! Pure. Providers differ in how they encode keys, and some give the same page for ever: a page
//! that leads nowhere is an error.

use std::time::SystemTime;

use object::ObjectKey;
use percent_encoding::percent_decode_str;

use crate::origins::xml;
use crate::{Cursor, Failure, Listed, Misfit, Page, Reason, Unfit};

/// How a provider spells keys in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Spelling {
    /// It is asked to encode; whether it does has not been seen yet.
    Unseen = 0,
    /// As in a form: a plus is a space (AWS, MinIO).
    Form = 1,
    /// A plus is a plus.
    Percent = 2,
    /// Not encoded, whatever it says.
    Plain = 3,
    /// Encoded; what a plus means has not been seen yet.
    Encoded = 4,
}

impl Spelling {
    pub(super) const ALL: [Self; 5] = [
        Self::Unseen,
        Self::Form,
        Self::Percent,
        Self::Plain,
        Self::Encoded,
    ];

    /// Whether a page like this says something that is not known yet.
    pub(super) fn is_told_by(self, page: &Raw) -> bool {
        match self {
            Self::Unseen => page.has(&['+', '%']),
            Self::Encoded => page.has(&['+']),
            Self::Form | Self::Percent | Self::Plain => false,
        }
    }
}

/// Where a listing goes on: behind a key, or where the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    Start,
    Key(String),
    Token(String),
}

impl From {
    pub(super) fn of(cursor: Option<&Cursor>) -> Result<Self, Failure> {
        let Some(cursor) = cursor else {
            return Ok(Self::Start);
        };
        match cursor.as_str().split_at_checked(1) {
            Some(("k", key)) => Ok(Self::Key(key.to_owned())),
            Some(("t", token)) => Ok(Self::Token(token.to_owned())),
            _ => Err(Failure::new(Reason::Protocol, "not a cursor of a bucket")),
        }
    }

    fn cursor(&self) -> Option<Cursor> {
        match self {
            Self::Start => None,
            Self::Key(key) => Some(Cursor::new(format!("k{key}"))),
            Self::Token(token) => Some(Cursor::new(format!("t{token}"))),
        }
    }
}

/// A page as it was sent.
pub(super) struct Raw {
    entries: Vec<RawEntry>,
    pub(super) spelling: Spelling,
    truncated: bool,
    token: Option<String>,
}

struct RawEntry {
    key: String,
    size_bytes: Option<u64>,
    etag: Option<Box<str>>,
    modified: Option<SystemTime>,
}

impl Raw {
    pub(super) fn parse(xml: &str, asked: Spelling) -> Option<Self> {
        let listing = xml::elements(xml, "ListBucketResult").next()?;
        let one = |name: &'static str| xml::texts(listing, name).next();
        let encoded = one("EncodingType").is_some_and(|kind| kind.eq_ignore_ascii_case("url"));
        let entries = xml::elements(listing, "Contents").map(RawEntry::parse);
        Some(Self {
            entries: entries.collect(),
            spelling: if encoded { asked } else { Spelling::Plain },
            truncated: one("IsTruncated").is_some_and(|cut| cut.eq_ignore_ascii_case("true")),
            token: one("NextContinuationToken").or_else(|| one("NextMarker")),
        })
    }

    fn has(&self, any: &[char]) -> bool {
        self.entries.iter().any(|entry| entry.key.contains(any))
    }

    /// How the keys are encoded, told by the same page without encoding.
    pub(super) fn spelling_by(&self, plain: &Self) -> Spelling {
        let mut possible = vec![Spelling::Form, Spelling::Percent, Spelling::Plain];
        for (encoded, plain) in self.entries.iter().zip(&plain.entries) {
            let fits = |spelling: &Spelling| decoded(&encoded.key, *spelling) == plain.key;
            // A key that fits nothing was written in between, or cannot be spelled in XML.
            if possible.iter().any(fits) {
                possible.retain(fits);
            }
        }
        match possible[..] {
            [one] => one,
            [Spelling::Form, Spelling::Percent] => Spelling::Encoded,
            _ => Spelling::Unseen,
        }
    }

    pub(super) fn decode(&mut self) {
        for entry in &mut self.entries {
            entry.key = decoded(&entry.key, self.spelling);
        }
    }

    /// Whether the page leads back to where it was asked from, or before.
    pub(super) fn stands_still(&self, from: &From) -> bool {
        match (from, self.entries.first()) {
            (From::Start, _) | (From::Key(_), None) => false,
            (From::Key(after), Some(first)) => {
                !is_behind(&first.key, after) || self.entries.iter().any(|one| one.key == *after)
            }
            (From::Token(token), _) => self.truncated && self.token.as_ref() == Some(token),
        }
    }

    pub(super) fn finish(self, from: &From) -> Result<Page, Failure> {
        let next = match (self.truncated, self.entries.last()) {
            (false, _) => From::Start,
            (true, Some(last)) => From::Key(last.key.clone()),
            (true, None) => self.token.map(From::Token).ok_or_else(|| {
                let what = "gives an empty page and says that more follow";
                Failure::new(Reason::Protocol, what)
            })?,
        };
        if next != From::Start && next == *from {
            let what = "gives the same page again and again";
            return Err(Failure::new(Reason::Protocol, what));
        }
        let mut page = Page {
            next: next.cursor(),
            ..Page::default()
        };
        for entry in self.entries {
            match entry.listed() {
                Ok(listed) => page.entries.push(listed),
                Err(unfit) => page.unfit.push(unfit),
            }
        }
        Ok(page)
    }
}

impl RawEntry {
    fn parse(xml: &str) -> Self {
        let one = |name: &'static str| xml::texts(xml, name).next();
        Self {
            key: one("Key").unwrap_or_default(),
            size_bytes: one("Size").and_then(|size| size.trim().parse().ok()),
            etag: one("ETag").and_then(|tag| quoted(&tag)),
            modified: one("LastModified").and_then(|time| instant(&time)),
        }
    }

    fn listed(self) -> Result<Listed, Unfit> {
        let unfit = |name: String, why: Misfit| Unfit {
            name: name.into(),
            size_bytes: self.size_bytes,
            why,
        };
        let key = match ObjectKey::parse(&self.key) {
            Ok(key) if key.is_reserved() => return Err(unfit(self.key, Misfit::Reserved)),
            Ok(key) => key,
            Err(why) => return Err(unfit(self.key, why.into())),
        };
        Ok(Listed {
            key,
            size_bytes: self.size_bytes.unwrap_or(0),
            etag: self.etag,
            modified: self.modified,
        })
    }
}

/// Whether a key comes after another in the order of bytes, or in that of storages which sort one
/// directory after the other.
fn is_behind(key: &str, other: &str) -> bool {
    key > other || key.split('/').gt(other.split('/'))
}

fn decoded(key: &str, spelling: Spelling) -> String {
    let text = match spelling {
        Spelling::Plain => return key.to_owned(),
        Spelling::Form => key.replace('+', "%20"),
        Spelling::Unseen | Spelling::Encoded | Spelling::Percent => key.to_owned(),
    };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// An entity tag with its quotes, which some servers leave out here.
pub(super) fn quoted(tag: &str) -> Option<Box<str>> {
    let bare = tag.trim().trim_matches('"');
    (!bare.is_empty()).then(|| format!("\"{bare}\"").into())
}

fn instant(text: &str) -> Option<SystemTime> {
    Some(text.trim().parse::<jiff::Timestamp>().ok()?.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn page(inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name>\
             <IsTruncated>true</IsTruncated>{inside}</ListBucketResult>"
        )
    }

    fn entry(key: &str) -> String {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;abc&quot;</ETag><Size>7</Size></Contents>"
        )
    }

    fn keys(raw: &Raw) -> Vec<&str> {
        raw.entries.iter().map(|entry| &*entry.key).collect()
    }

    fn parsed(xml: &str, spelling: Spelling) -> Raw {
        let mut raw = Raw::parse(xml, spelling).unwrap();
        raw.decode();
        raw
    }

    #[test]
    fn an_entry_is_read_with_all_that_is_known_of_it() {
        let xml = page(&entry("a&amp;b/&#x2F;&lt;c"));
        let page = parsed(&xml, Spelling::Plain).finish(&From::Start).unwrap();
        let listed = &page.entries[0];
        assert_eq!(listed.key.as_str(), "a&b//<c");
        assert_eq!(
            (listed.size_bytes, listed.etag.as_deref()),
            (7, Some("\"abc\""))
        );
        let new_year = SystemTime::UNIX_EPOCH + Duration::from_hours(490_896);
        assert_eq!(listed.modified, Some(new_year));
        assert_eq!(page.next.unwrap().as_str(), "ka&b//<c");
    }

    #[test]
    fn keys_are_decoded_as_the_provider_encodes_them() {
        let encoded = "<EncodingType>url</EncodingType>".to_owned() + &entry("a+b%2Bc%20d%252F");
        let xml = page(&encoded);
        for (spelling, key) in [
            (Spelling::Form, "a b+c d%2F"),
            (Spelling::Percent, "a+b+c d%2F"),
        ] {
            assert_eq!(keys(&parsed(&xml, spelling)), [key]);
        }
        let not_encoded = page(&entry("a+b%2Bc"));
        assert_eq!(keys(&parsed(&not_encoded, Spelling::Form)), ["a+b%2Bc"]);
    }

    #[test]
    fn how_keys_are_encoded_is_told_by_the_page_without_encoding() {
        let encoded = |key: &str| {
            let xml = page(&("<EncodingType>url</EncodingType>".to_owned() + &entry(key)));
            Raw::parse(&xml, Spelling::Unseen).unwrap()
        };
        let plain = |key: &str| parsed(&page(&entry(key)), Spelling::Plain);
        let told = |key, truth| encoded(key).spelling_by(&plain(truth));
        assert_eq!(told("a+b", "a b"), Spelling::Form);
        assert_eq!(told("a+b%20", "a+b "), Spelling::Percent);
        assert_eq!(told("a%20b", "a b"), Spelling::Encoded);
        assert_eq!(told("a%20b", "a%20b"), Spelling::Plain);
        assert_eq!(told("a%20b", "something else"), Spelling::Unseen);
        assert_eq!(told("a", "a"), Spelling::Unseen);
        let odd = encoded("a%20b");
        assert!(Spelling::Unseen.is_told_by(&odd) && !Spelling::Encoded.is_told_by(&odd));
    }

    #[test]
    fn names_that_cannot_be_keys_are_counted_and_named() {
        let names = ["a\\b", "../x", "a/.media-gateway", "fine"];
        let xml = page(&names.map(entry).concat());
        let page = parsed(&xml, Spelling::Plain).finish(&From::Start).unwrap();
        assert_eq!(page.entries.len(), 1);
        let unfit: Vec<_> = page.unfit.iter().map(|unfit| &*unfit.name).collect();
        assert_eq!(unfit, &names[..3]);
        assert_eq!(page.unfit[2].why, Misfit::Reserved);
    }

    #[test]
    fn a_page_that_leads_nowhere_is_an_error() {
        let full = || parsed(&page(&(entry("a") + &entry("b"))), Spelling::Plain);
        assert!(full().stands_still(&From::Key("b".into())));
        assert!(full().stands_still(&From::Key("a".into())));
        assert!(full().stands_still(&From::Key("z".into())), "a circle");
        assert!(!full().stands_still(&From::Key("0".into())));
        assert!(is_behind("a.txt", "a/z") && is_behind("a/z", "a.txt"));
        let empty = |token: &str| {
            let token = format!("<NextContinuationToken>{token}</NextContinuationToken>");
            parsed(&page(&token), Spelling::Plain)
        };
        let there = From::Token("t".into());
        assert!(empty("t").stands_still(&there) && empty("t").finish(&there).is_err());
        let next = empty("u").finish(&there).unwrap().next.unwrap();
        assert_eq!(From::of(Some(&next)).unwrap(), From::Token("u".into()));
        assert!(
            parsed(&page(""), Spelling::Plain)
                .finish(&From::Start)
                .is_err()
        );
    }
}
