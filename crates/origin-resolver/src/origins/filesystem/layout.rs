//! Where a key lives below the root of a directory.
//!
//! Most keys are their own path. The few that no path can spell get a name from the reserved
//! `.media-gateway` namespace, which no key that is served can enter, so two keys never share a
//! file. Pure: nothing here asks the disk.
//!
//! | what the key has | its place |
//! |---|---|
//! | an empty segment (`/x`, `a//b`, `dir/`) | a segment `.media-gateway-empty` |
//! | a segment of more than 255 bytes | `.media-gateway-long-<SHA-256 of the segment>` |
//! | a path of more than 3800 bytes after that | `.media-gateway-key-<SHA-256 of the key>` |
//! | other keys below it (`a` beside `a/b`) | `a/.media-gateway-self` |

use object::ObjectKey;
use sha2::{Digest, Sha256};

/// Stands for a segment without a character.
const EMPTY: &str = ".media-gateway-empty";
/// Begins the name of a segment that is too long to be a file name.
const LONG: &str = ".media-gateway-long-";
/// Begins the name of a key whose path is too long.
const WHOLE: &str = ".media-gateway-key-";
/// The object whose key is also a directory, inside that directory.
const OWN: &str = ".media-gateway-self";
/// The directory of sidecars, beside the files that they describe.
const META: &str = ".media-gateway-meta";

/// Begins the name of what is not finished; in the root only.
pub(super) const TEMPORARY: &str = ".media-gateway-tmp-";

/// `NAME_MAX` of every Linux file system that matters.
const LONGEST_NAME_BYTES: usize = 255;
/// Below `PATH_MAX` by enough for [`OWN`] or a sidecar's directory and name.
const LONGEST_PATH_BYTES: usize = 3800;

/// The path of the key's file, relative to the root.
pub(super) fn file(key: &ObjectKey) -> String {
    let path = key
        .as_str()
        .split('/')
        .map(segment)
        .collect::<Vec<_>>()
        .join("/");
    if path.len() > LONGEST_PATH_BYTES {
        return format!("{WHOLE}{}", digest(key.as_str()));
    }
    path
}

/// The path of the key's file where [`file`] turned out to be a directory.
pub(super) fn file_inside(directory: &str) -> String {
    format!("{directory}/{OWN}")
}

/// The path of the sidecar that describes the file at `path`.
pub(super) fn sidecar(path: &str) -> String {
    let (directory, name) = match path.rsplit_once('/') {
        Some((directory, name)) => (format!("{directory}/"), name),
        None => (String::new(), path),
    };
    let mut described = format!("{name}.json");
    if described.len() > LONGEST_NAME_BYTES {
        described = format!("{LONG}{}.json", digest(name));
    }
    format!("{directory}{META}/{described}")
}

/// What a file's path says of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This is the key, if it can be one.
    Key(String),
    /// Shortened: the key is written beside the file, or nowhere.
    Shortened,
    /// No object: a sidecar, a marker, something unfinished.
    Ours,
}

/// The other way round: whose file this is.
pub(super) fn key_at(path: &str) -> Named {
    let object = path
        .strip_suffix(OWN)
        .and_then(|rest| rest.strip_suffix('/'));
    let mut key = String::with_capacity(path.len());
    for (index, segment) in object.unwrap_or(path).split('/').enumerate() {
        if index > 0 {
            key.push('/');
        }
        match segment {
            EMPTY => {}
            _ if segment.starts_with(LONG) || (index == 0 && segment.starts_with(WHOLE)) => {
                return Named::Shortened;
            }
            _ if segment.starts_with(object::RESERVED_NAME) => return Named::Ours,
            _ => key.push_str(segment),
        }
    }
    Named::Key(key)
}

fn segment(segment: &str) -> String {
    if segment.is_empty() {
        EMPTY.to_owned()
    } else if segment.len() > LONGEST_NAME_BYTES {
        format!("{LONG}{}", digest(segment))
    } else {
        segment.to_owned()
    }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::parse(text).unwrap()
    }

    #[test]
    fn an_ordinary_key_is_its_own_path() {
        for text in [
            "misskey/0b3c.webp",
            "写真 1.png",
            "a%2Fb",
            "null/x",
            "a+b;c#d?e",
        ] {
            assert_eq!(file(&key(text)), text);
        }
    }

    #[test]
    fn what_a_path_cannot_spell_has_a_documented_name() {
        let empty = ".media-gateway-empty";
        assert_eq!(file(&key("/x")), format!("{empty}/x"));
        assert_eq!(file(&key("//x")), format!("{empty}/{empty}/x"));
        assert_eq!(file(&key("a//b")), format!("a/{empty}/b"));
        assert_eq!(file(&key("dir/")), format!("dir/{empty}"));
        let long = file(&key(&format!("a/{}", "x".repeat(256))));
        assert_eq!(
            long.strip_prefix("a/.media-gateway-long-").map(str::len),
            Some(64)
        );
        assert_eq!(file(&key(&"x".repeat(255))), "x".repeat(255));
        assert_eq!(file_inside("a"), "a/.media-gateway-self");
        assert_eq!(sidecar("a/b.webp"), "a/.media-gateway-meta/b.webp.json");
        assert_eq!(sidecar("b.webp"), ".media-gateway-meta/b.webp.json");
    }

    #[test]
    fn what_is_ours_is_told_from_what_is_an_object() {
        for path in [
            ".media-gateway",
            ".media-gateway-tmp-1",
            "a/.media-gateway-meta/b.json",
        ] {
            assert_eq!(key_at(path), Named::Ours, "{path}");
        }
        assert_eq!(key_at("a/.media-gateway-self"), Named::Key("a".into()));
        assert_eq!(key_at(".media-gateway-empty"), Named::Key(String::new()));
    }

    #[test]
    fn a_key_of_nothing_but_slashes_still_fits_into_a_path() {
        let path = file(&key(&"/".repeat(1024)));
        assert!(path.starts_with(".media-gateway-key-") && !path.contains('/'));
    }

    /// Keys that meet the rules' edges far more often than random text would.
    fn any_key() -> impl Strategy<Value = ObjectKey> {
        let segment = prop_oneof![
            4 => "[a-c]{0,2}",
            2 => Just(String::new()),
            1 => "[xy]{254,257}",
            1 => "\\PC{1,8}",
            1 => Just("\u{2025}".to_owned()),
        ];
        prop_oneof![
            proptest::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/")),
            (200_usize..400).prop_map(|count| "/".repeat(count)),
        ]
        .prop_filter_map("not a key that is served", |text| {
            ObjectKey::parse(&text)
                .ok()
                .filter(|key| !key.is_reserved())
        })
    }

    fn files_of(key: &ObjectKey) -> [String; 4] {
        let plain = file(key);
        let inside = file_inside(&plain);
        [sidecar(&plain), sidecar(&inside), plain, inside]
    }

    proptest! {
        #[test]
        fn a_path_leads_back_to_its_key(key in any_key()) {
            let plain = file(&key);
            for path in [file_inside(&plain), plain] {
                match key_at(&path) {
                    Named::Key(back) => prop_assert_eq!(&back, key.as_str()),
                    Named::Shortened => {
                        prop_assert!(path.contains(LONG) || path.starts_with(WHOLE));
                    }
                    Named::Ours => prop_assert!(false, "{path}"),
                }
            }
        }

        #[test]
        fn two_keys_never_share_a_file(a in any_key(), b in any_key()) {
            if a != b {
                for path in files_of(&a) {
                    prop_assert!(!files_of(&b).contains(&path), "{path}");
                }
            }
        }

        #[test]
        fn every_place_lies_below_the_root_and_fits(key in any_key()) {
            for path in files_of(&key) {
                prop_assert!(path.len() < 4096);
                for segment in path.split('/') {
                    prop_assert!(!segment.is_empty() && segment.len() <= 255);
                    prop_assert!(segment != "." && segment != "..");
                }
            }
        }
    }
}
