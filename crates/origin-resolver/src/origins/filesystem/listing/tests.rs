//! Listings of small trees, in pages of every size.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::FilesystemSettings;

fn root(files: &[&str]) -> (tempfile::TempDir, Root) {
    let here = tempfile::tempdir().unwrap();
    for file in files.iter().chain(&[".media-gateway"]) {
        let path = here.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    let root = Root::new(&FilesystemSettings {
        root: here.path().to_owned(),
        marker: ".media-gateway".into(),
        min_free_bytes: None,
    });
    (here, root)
}

/// All keys and all misfits, in pages of this size.
fn all(root: &Root, prefix: &str, most: usize, slice: usize) -> (Vec<String>, Vec<String>) {
    let (mut keys, mut unfit, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = page_of(root, prefix, after.as_ref(), most, slice).unwrap();
        keys.extend(page.entries.iter().map(|one| one.key.as_str().to_owned()));
        unfit.extend(page.unfit.iter().map(|one| one.name.to_string()));
        after = page.next;
        if after.is_none() {
            return (keys, unfit);
        }
    }
}

const FILES: &[&str] = &[
    "b",
    "a.txt",
    "a/.media-gateway-self",
    "a/1",
    "a/2/x",
    "a/2/y",
    "a/10",
    ".media-gateway-empty/x",
    "c/.media-gateway-empty",
    "写真 1.png",
    "a/.media-gateway-meta/1.json",
    ".media-gateway-tmp-1",
    "lost+found/y",
];

#[test]
fn every_object_is_listed_once_in_the_same_order_whatever_the_pages() {
    let (_here, root) = root(FILES);
    let whole = all(&root, "", 1000, 1000);
    let mut keys = whole.0.clone();
    keys.sort();
    let mut expected = vec![
        "/x",
        "a",
        "a.txt",
        "a/1",
        "a/10",
        "a/2/x",
        "a/2/y",
        "b",
        "c/",
        "写真 1.png",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert!(whole.1.is_empty(), "{:?}", whole.1);
    for most in 1..6 {
        for slice in 1..4 {
            assert_eq!(all(&root, "", most, slice), whole, "{most} {slice}");
        }
    }
}

#[test]
fn a_prefix_takes_what_begins_so_and_nothing_else() {
    let (_here, root) = root(FILES);
    for (prefix, expected) in [
        ("a", &["a", "a/1", "a/10", "a/2/x", "a/2/y", "a.txt"][..]),
        ("a/", &["a/1", "a/10", "a/2/x", "a/2/y"]),
        ("a/1", &["a/1", "a/10"]),
        ("a/2/", &["a/2/x", "a/2/y"]),
        ("/", &["/x"]),
        ("c/", &["c/"]),
        ("z", &[]),
    ] {
        assert_eq!(all(&root, prefix, 2, 2).0, expected, "{prefix}");
    }
}

#[test]
fn what_is_no_object_is_named() {
    let (here, root) = root(&["d/x", "back\\slash"]);
    symlink("d", here.path().join("link")).unwrap();
    symlink("/etc/passwd", here.path().join("out")).unwrap();
    symlink("d/x", here.path().join("inside")).unwrap();
    let long = format!(".media-gateway-long-{}", "0".repeat(64));
    fs::write(here.path().join(&long), "x").unwrap();
    let (keys, mut unfit) = all(&root, "", 2, 2);
    assert_eq!(keys, ["d/x", "inside"]);
    unfit.sort();
    assert_eq!(unfit, [&*long, "back\\slash", "link", "out"]);
}

#[test]
fn an_empty_mount_point_is_no_empty_listing() {
    let (here, root) = root(&[]);
    assert!(page(&root, "", None).unwrap().entries.is_empty());
    fs::remove_file(here.path().join(".media-gateway")).unwrap();
    assert_eq!(page(&root, "", None).unwrap_err().reason, Reason::Disk);
}
