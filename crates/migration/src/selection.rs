//! Which keys a migration is about.
//!
//! Pure. What is left out is left out for a reason that can be counted; nothing is dropped
//! silently.

use object::ObjectKey;

use crate::fingerprint::Fingerprint;

/// Which keys are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only keys that begin so; empty for all.
    pub prefix: String,
    /// Not keys that match one of these.
    pub exclude: Vec<Pattern>,
    /// Only keys that begin like one of these, as the route publishes them; `None` for all.
    pub published: Option<Vec<String>>,
    /// Only this share of the keys.
    pub shard: Shard,
}

/// What becomes of a key before either end is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// It is wanted.
    Yes,
    /// No route publishes it.
    Unpublished,
    /// It is excluded, or outside of the prefix.
    Excluded,
    /// Another shard takes it.
    Elsewhere,
}

impl Selection {
    /// Everything there is.
    pub fn everything() -> Self {
        Self {
            prefix: String::new(),
            exclude: Vec::new(),
            published: None,
            shard: Shard::WHOLE,
        }
    }

    /// Whether a key is wanted, and else why not.
    pub fn choose(&self, key: &ObjectKey) -> Chosen {
        let text = key.as_str();
        let publishes = |prefixes: &Vec<String>| prefixes.iter().any(|own| text.starts_with(own));
        if !text.starts_with(&self.prefix) || self.exclude.iter().any(|one| one.matches(text)) {
            Chosen::Excluded
        } else if !self.published.as_ref().is_none_or(publishes) {
            Chosen::Unpublished
        } else if !self.shard.takes(key) {
            Chosen::Elsewhere
        } else {
            Chosen::Yes
        }
    }

    /// The prefixes that have to be listed so that every wanted key is seen.
    pub fn prefixes(&self) -> Vec<String> {
        let Some(published) = &self.published else {
            return vec![self.prefix.clone()];
        };
        let mut wanted: Vec<String> = published
            .iter()
            .filter_map(|own| match () {
                () if own.starts_with(&self.prefix) => Some(own.clone()),
                () if self.prefix.starts_with(own) => Some(self.prefix.clone()),
                () => None,
            })
            .collect();
        wanted.sort();
        // A prefix lists what a longer one lists again.
        wanted.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
        wanted
    }
}

/// One of several equal shares of all keys: what each takes depends on the key alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// All keys.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// The share `number` of `of`, counted from 1; `None` where there is no such share.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (1..=of).contains(&number).then_some(Self { number, of })
    }

    /// Reads `2/4`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        Self::new(number.parse().ok()?, of.parse().ok()?)
    }

    /// Which share it is, from 1, and how many there are.
    pub fn parts(self) -> (u32, u32) {
        (self.number, self.of)
    }

    fn takes(self, key: &ObjectKey) -> bool {
        self.of == 1
            || Fingerprint::of(key).share() % u64::from(self.of) == u64::from(self.number - 1)
    }
}

/// A pattern of keys, where `*` stands for any characters, slashes too, and everything else for
/// itself. It has to match the whole key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, key: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return *key == *self.0;
        };
        let Some(mut left) = key.strip_prefix(first) else {
            return false;
        };
        let mut pieces = rest.split('*').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return left.ends_with(piece);
            }
            // The earliest place leaves the most for the pieces behind it.
            let Some(at) = left.find(piece) else {
                return false;
            };
            left = &left[at + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_matches_whole_keys_and_a_star_any_characters() {
        for (pattern, fits, misses) in [
            ("a*", "a/b/c", "ba"),
            ("*.tmp", "x/y.tmp", "x.tmp.png"),
            ("a*b*c", "a//bbxc", "acb"),
            ("*thumbnail-*", "m/thumbnail-1.png", "m/thumb-1"),
            ("exact", "exact", "exactly"),
            ("*写*", "a/写真", "a/b"),
        ] {
            assert!(Pattern::new(pattern).matches(fits), "{pattern} {fits}");
            assert!(!Pattern::new(pattern).matches(misses), "{pattern} {misses}");
        }
    }

    #[test]
    fn each_key_that_is_left_out_has_its_reason() {
        let selection = Selection {
            prefix: "m/".to_owned(),
            exclude: vec![Pattern::new("*.tmp")],
            published: Some(vec!["m/a".to_owned(), "m/b".to_owned()]),
            shard: Shard::WHOLE,
        };
        assert_eq!(selection.choose(&key("m/a1")), Chosen::Yes);
        assert_eq!(selection.choose(&key("m/a1.tmp")), Chosen::Excluded);
        assert_eq!(selection.choose(&key("n/a1")), Chosen::Excluded);
        assert_eq!(selection.choose(&key("m/c")), Chosen::Unpublished);
    }

    #[test]
    fn only_what_can_hold_wanted_keys_is_listed_and_nothing_twice() {
        let listed = |prefix: &str, published: &[&str]| {
            Selection {
                prefix: prefix.to_owned(),
                published: Some(published.iter().map(|&one| one.to_owned()).collect()),
                ..Selection::everything()
            }
            .prefixes()
        };
        assert_eq!(listed("", &["m/", "null/"]), ["m/", "null/"]);
        assert_eq!(listed("m/a", &["m/", "null/"]), ["m/a"]);
        assert_eq!(listed("", &["", "m/"]), [""]);
        assert_eq!(listed("x/", &["m/"]), [""; 0]);
        assert_eq!(Selection::everything().prefixes(), [""]);
    }

    #[test]
    fn a_share_is_written_as_its_number_and_how_many_there_are() {
        assert_eq!(Shard::parse("2/4"), Shard::new(2, 4));
        for wrong in ["0/4", "5/4", "1", "1/0", "a/b", "1/2/3"] {
            assert_eq!(Shard::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn each_key_belongs_to_exactly_one_share(text in "[a-z/]{1,20}", of in 1u32..9) {
            if let Ok(key) = ObjectKey::parse(&text) {
                let takers = (1..=of).filter(|&n| Shard::new(n, of).unwrap().takes(&key));
                prop_assert_eq!(takers.count(), 1);
            }
        }

        #[test]
        fn every_wanted_key_is_below_a_listed_prefix(
            prefix in "[ab/]{0,3}",
            published in prop::collection::vec("[ab/]{0,3}", 0..4),
            text in "[ab/]{1,6}",
        ) {
            let selection = Selection {
                prefix,
                published: Some(published),
                ..Selection::everything()
            };
            if let Ok(key) = ObjectKey::parse(&text)
                && selection.choose(&key) == Chosen::Yes
            {
                let prefixes = selection.prefixes();
                let below = prefixes.iter().filter(|one| text.starts_with(one.as_str()));
                prop_assert_eq!(below.count(), 1);
            }
        }

        #[test]
        fn a_pattern_matches_what_it_was_made_from(pieces in prop::collection::vec("[ab]{0,3}", 1..5), between in "[abc]{0,4}") {
            let pattern = Pattern::new(&pieces.join("*"));
            prop_assert!(pattern.matches(&pieces.join(&between)));
        }
    }
}
