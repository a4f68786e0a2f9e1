//! An absence counts only below a root that is the right one.

use std::fs;

use origin_resolver::{Answer, Filesystem, Origin, Part, Reason};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Directory, Repeating, settings};
use crate::fixture::{Fixture, ask, found, read};

async fn assert_missing(origin: &dyn Origin, key: &str) {
    let answer = ask(origin, key, Part::Whole).await;
    assert!(matches!(answer, Answer::Missing), "{answer:?}");
}

async fn assert_unknown(origin: &dyn Origin, key: &str, says: &str) {
    match ask(origin, key, Part::Whole).await {
        Answer::Unknown(failure) => {
            assert_eq!(failure.reason, Reason::Disk);
            assert!(failure.what.contains(says), "{failure}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_its_marker_nothing_is_missing_but_what_is_there_is_found() {
    let directory = Directory::new();
    let origin = directory.origin();
    directory.write("x", "x");
    assert_missing(&*origin, "absent").await;

    fs::remove_file(directory.path().join(".media-gateway")).unwrap();
    for key in ["absent", "no/such/directory", "x/below"] {
        assert_unknown(&*origin, key, "has no marker").await;
    }
    let too_long = format!("{}/{}", "a/".repeat(300), "b");
    assert_unknown(&*origin, &too_long, "has no marker").await;
    assert_eq!(read(&*origin, "x").await, b"x");
}

#[tokio::test]
async fn a_volume_that_goes_away_and_comes_back_is_noticed_both_times() {
    let directory = Directory::new();
    let origin = directory.origin();
    directory.write("x", "x");
    assert_missing(&*origin, "absent").await;

    let away = directory.outside().join("away");
    fs::rename(directory.path(), &away).unwrap();
    for key in ["x", "absent"] {
        assert_unknown(&*origin, key, "root").await;
    }
    // What an unmounted volume leaves behind.
    fs::create_dir(directory.path()).unwrap();
    for key in ["x", "absent"] {
        assert_unknown(&*origin, key, "is the volume mounted?").await;
    }
    fs::remove_dir(directory.path()).unwrap();
    fs::write(directory.path(), "a file").unwrap();
    assert_unknown(&*origin, "absent", "root").await;

    fs::remove_file(directory.path()).unwrap();
    fs::rename(&away, directory.path()).unwrap();
    assert_eq!(read(&*origin, "x").await, b"x");
    assert_missing(&*origin, "absent").await;
}

#[tokio::test]
async fn a_volume_unmounted_under_load_never_reads_as_missing() {
    let directory = Directory::new();
    directory.write("x", "x");
    let empty = directory.outside().join("empty");
    fs::create_dir(&empty).unwrap();
    let root = directory.path();
    let mounting = Repeating::start(move || {
        renameat_with(CWD, &root, CWD, &empty, RenameFlags::EXCHANGE).unwrap();
    });
    let (mut found, mut unknown) = (0, 0);
    while found < 500 || unknown < 500 {
        match directory.ask("x").await {
            Answer::Found(_) => found += 1,
            Answer::Unknown(failure) => {
                assert_eq!(failure.reason, Reason::Disk);
                unknown += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    mounting.stop();
}

#[tokio::test]
async fn an_origin_starts_before_its_volume_is_there() {
    let outside = tempfile::tempdir().unwrap();
    let root = outside.path().join("later");
    let origin = Filesystem::open("disk", &settings(&root, "marker"));
    assert_unknown(&origin, "x", "later").await;
    fs::create_dir(&root).unwrap();
    assert_unknown(&origin, "x", "has no marker").await;
    fs::write(root.join("marker"), "").unwrap();
    assert_missing(&origin, "x").await;
}

#[tokio::test]
async fn with_the_marker_turned_off_only_an_empty_root_is_suspicious() {
    let root = tempfile::tempdir().unwrap();
    let origin = Filesystem::open("disk", &settings(root.path(), ""));
    assert_unknown(&origin, "x", "is empty").await;
    fs::write(root.path().join("other"), "").unwrap();
    assert_missing(&origin, "x").await;
    found(&origin, "other", Part::Whole).await;
}
