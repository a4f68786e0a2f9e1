//! Nothing outside the root is read, and nothing that is not a regular file.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use origin_resolver::{Answer, Filesystem, Part, Reason};
use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};

use super::{Directory, Repeating, settings};
use crate::fixture::{Fixture, ask, collect, read};

#[tokio::test]
async fn a_link_out_of_the_root_is_unknown_however_it_is_made() {
    let directory = Directory::new();
    let secret = directory.outside().join("secret");
    fs::write(&secret, "secret").unwrap();
    directory.write("d/file", "file");
    let link = |target: &Path, name: &str| symlink(target, directory.path().join(name)).unwrap();
    link(Path::new("../secret"), "relative");
    link(&secret, "absolute");
    link(Path::new(".."), "up");
    link(Path::new("d/../../secret"), "through");
    link(Path::new("../../secret"), "d/deep");
    link(Path::new("/"), "system");
    link(Path::new("relative"), "twice");
    link(&directory.path().join("d"), "absolute-inside");
    for key in [
        "relative",
        "absolute",
        "up/secret",
        "up/root/d/file",
        "through",
        "d/deep",
        "system/etc/passwd",
        "twice",
        "absolute-inside/file",
    ] {
        directory.assert_disk_failure(key).await;
    }
}

#[tokio::test]
async fn a_link_that_stays_inside_is_followed() {
    let directory = Directory::new();
    directory.write("d/file", "file");
    symlink("d", directory.path().join("link")).unwrap();
    symlink("../d/file", directory.path().join("d/around")).unwrap();
    let origin = directory.origin();
    assert_eq!(read(&*origin, "link/file").await, b"file");
    assert_eq!(read(&*origin, "d/around").await, b"file");
    assert!(matches!(directory.ask("link/none").await, Answer::Missing));
}

#[tokio::test]
async fn a_link_whose_target_is_gone_is_not_an_absence() {
    let directory = Directory::new();
    symlink("unmounted", directory.path().join("misskey")).unwrap();
    for key in ["misskey", "misskey/0b3c.webp"] {
        directory.assert_disk_failure(key).await;
    }
    symlink("loop", directory.path().join("loop")).unwrap();
    directory.assert_disk_failure("loop").await;
}

#[tokio::test]
async fn a_fifo_a_socket_and_a_device_are_unknown_and_never_waited_for() {
    let directory = Directory::new();
    mkfifoat(CWD, directory.path().join("fifo"), Mode::RUSR).unwrap();
    let _socket = UnixListener::bind(directory.path().join("socket")).unwrap();
    symlink("fifo", directory.path().join("link")).unwrap();
    for key in ["fifo", "socket", "link"] {
        directory.assert_disk_failure(key).await;
    }

    let devices = Filesystem::open("devices", &settings(Path::new("/dev"), "null"));
    for key in ["zero", "null"] {
        let answer = ask(&devices, key, Part::Whole).await;
        assert!(
            matches!(&answer, Answer::Unknown(failure) if failure.reason == Reason::Disk),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn the_kernels_magic_links_lead_nowhere() {
    let process = Filesystem::open("process", &settings(Path::new("/proc/self"), "status"));
    for key in ["exe", "root/etc/passwd", "cwd/Cargo.toml", "fd/0"] {
        let answer = ask(&process, key, Part::Whole).await;
        assert!(
            matches!(&answer, Answer::Unknown(failure) if failure.reason == Reason::Disk),
            "{key}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_directory_swapped_for_a_link_while_it_is_read_leads_nowhere() {
    let directory = Directory::new();
    directory.write("d/file", "inside");
    fs::create_dir(directory.outside().join("d")).unwrap();
    fs::write(directory.outside().join("d/file"), "secret").unwrap();
    symlink("../d", directory.path().join("swapped")).unwrap();

    let (from, to) = (directory.path().join("d"), directory.path().join("swapped"));
    let swapping = Repeating::start(move || {
        renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE).unwrap();
    });
    let mut found = 0;
    for _ in 0..2000 {
        match directory.ask("d/file").await {
            Answer::Found(reply) => {
                assert_eq!(collect(reply.body).await, b"inside");
                found += 1;
            }
            Answer::Unknown(failure) => assert_eq!(failure.reason, Reason::Disk),
            other => panic!("{other:?}"),
        }
    }
    swapping.stop();
    assert!(found > 0);
}
