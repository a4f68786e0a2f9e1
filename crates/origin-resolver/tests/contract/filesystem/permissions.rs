//! What this process's user may not read is unknown, with the owner's name.
//!
//! Root may read everything, so under root the threads that touch the disk change to another
//! user first; that is a property of a thread on Linux.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use origin_resolver::{Answer, Reason};
use tokio::runtime::{Builder, Runtime};

use super::Directory;

const NOBODY: u32 = 65534;

/// A runtime whose blocking threads are not root.
fn ordinary_user() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .on_thread_start(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::fs::Uid::from_raw(NOBODY);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
        })
        .build()
        .unwrap()
}

fn set_mode(directory: &Directory, path: &str, mode: u32) {
    fs::set_permissions(directory.path().join(path), Permissions::from_mode(mode)).unwrap();
}

/// A directory that everybody may look into, on a path that everybody may follow.
fn open_to_all() -> Directory {
    let directory = Directory::new();
    fs::set_permissions(directory.outside(), Permissions::from_mode(0o755)).unwrap();
    set_mode(&directory, "", 0o755);
    directory
}

#[test]
fn an_original_that_only_misskey_may_read_is_denied_and_names_its_owner() {
    let directory = open_to_all();
    directory.write("0b3c", "original");
    directory.write("thumbnail-0b3c", "thumbnail");
    set_mode(&directory, "thumbnail-0b3c", 0o644);
    // Misskey's is 0600; this test's user would own it, so nobody may read it.
    set_mode(&directory, "0b3c", 0o000);
    ordinary_user().block_on(async {
        let failure = directory.failure("0b3c").await;
        assert_eq!(failure.reason, Reason::Denied);
        let owner = rustix::process::geteuid().as_raw();
        let reader = if owner == 0 { NOBODY } else { owner };
        assert_eq!(
            &*failure.what,
            format!(
                "\"0b3c\" is owned by uid {owner}, mode 0000; the gateway runs as uid {reader}"
            )
        );
        let thumbnail = directory.ask("thumbnail-0b3c").await;
        assert!(matches!(thumbnail, Answer::Found(_)), "{thumbnail:?}");
        assert!(matches!(directory.ask("absent").await, Answer::Missing));
    });
}

#[test]
fn what_lies_in_a_closed_directory_is_denied_whether_or_not_it_is_there() {
    let directory = open_to_all();
    directory.write("a/closed/x", "x");
    set_mode(&directory, "a", 0o755);
    set_mode(&directory, "a/closed", 0o000);
    ordinary_user().block_on(async {
        for key in ["a/closed/x", "a/closed/absent", "a/closed/deep/er"] {
            let failure = directory.failure(key).await;
            assert_eq!(failure.reason, Reason::Denied, "{key}");
            assert!(
                failure.what.starts_with("\"a/closed\" is owned by"),
                "{failure}"
            );
        }
    });
    set_mode(&directory, "a/closed", 0o700);
}

#[test]
fn a_root_that_is_closed_is_denied() {
    let directory = open_to_all();
    directory.write("x", "x");
    set_mode(&directory, "", 0o000);
    ordinary_user().block_on(async {
        for key in ["x", "absent"] {
            assert_eq!(directory.failure(key).await.reason, Reason::Denied);
        }
    });
    set_mode(&directory, "", 0o700);
}
