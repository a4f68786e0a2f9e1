//! What the operator's commands see and make, and which names are the gateway's own.

use std::fs;
use std::io::ErrorKind;

use origin_resolver::{Access, Filesystem, Origin, Reason};

use super::{Directory, settings};
use crate::fixture::Fixture;

#[tokio::test]
async fn the_gateways_own_files_are_never_opened() {
    let directory = Directory::new();
    directory.write("a/.media-gateway-meta/x.json", "{}");
    directory.write(".media-gateway-empty/x", "x");
    for key in [
        ".media-gateway",
        "a/.media-gateway-meta/x.json",
        ".media-gateway-empty/x",
        "a/.media-gateway-self",
        ".media-gateway-absent",
    ] {
        assert_eq!(directory.failure(key).await.reason, Reason::Denied, "{key}");
    }
}

#[tokio::test]
async fn the_first_directories_are_listed_without_the_gateways_own() {
    let directory = Directory::new();
    for path in ["misskey/a", "null/b", "file", ".media-gateway-empty/c"] {
        directory.write(path, "x");
    }
    let origin = directory.origin();
    let listed = origin.top_prefixes(Access::AsConfigured).await.unwrap();
    assert_eq!(listed, ["misskey/", "null/"]);

    for number in 0..150 {
        directory.write(&format!("d{number}/x"), "x");
    }
    let listed = origin.top_prefixes(Access::AsConfigured).await.unwrap();
    assert_eq!(listed.len(), 100);

    let absent = Filesystem::open("disk", &settings(&directory.outside().join("none"), "m"));
    let failure = absent.top_prefixes(Access::Signed).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Disk);
}

#[test]
fn a_root_is_shown_as_it_is_before_it_is_marked() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("misskey")).unwrap();
    fs::write(root.path().join("misskey/a"), "a").unwrap();
    let origin = Filesystem::open("disk", &settings(root.path(), "marker"));

    let before = origin.inspect_root().unwrap();
    assert!(!before.marker_present);
    assert_eq!(before.entries_sampled, 2);
    assert!(before.total_bytes >= before.free_bytes && before.total_bytes > 0);
    assert_eq!(before.unreadable, None);

    origin.create_marker().unwrap();
    let after = origin.inspect_root().unwrap();
    assert!(after.marker_present);
    assert_eq!(after.device, before.device);

    let empty = Directory::new();
    let marked = Filesystem::open("disk", &settings(&empty.path(), ".media-gateway"))
        .inspect_root()
        .unwrap();
    assert_eq!((marked.marker_present, marked.entries_sampled), (true, 0));

    let twice = origin.create_marker().unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_root_that_is_not_there_cannot_be_shown_or_marked() {
    let outside = tempfile::tempdir().unwrap();
    let absent = Filesystem::open("disk", &settings(&outside.path().join("none"), "marker"));
    assert_eq!(
        absent.inspect_root().unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        absent.create_marker().unwrap_err().kind(),
        ErrorKind::NotFound
    );

    let unmarked = Filesystem::open("disk", &settings(outside.path(), ""));
    assert!(!unmarked.inspect_root().unwrap().marker_present);
    let refused = unmarked.create_marker().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}
