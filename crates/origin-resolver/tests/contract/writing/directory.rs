//! A directory that is written, and what only it promises.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use origin_resolver::{
    Filesystem, FilesystemSettings, Kept, Kind, Part, Put, PutError, Reason, Unpaced,
};

use super::{Place, broken, key, put, stores};
use crate::fixture::{found, noise, read};
use crate::kinds::open;

stores!(writable().0);

fn settings(root: &Path, min_free_bytes: Option<u64>) -> FilesystemSettings {
    FilesystemSettings {
        root: root.to_owned(),
        marker: ".media-gateway".into(),
        min_free_bytes,
    }
}

fn directory(min_free_bytes: Option<u64>) -> (Place, std::path::PathBuf) {
    let here = tempfile::tempdir().unwrap();
    let settings = settings(here.path(), min_free_bytes);
    Filesystem::open("disk", &settings).create_marker().unwrap();
    let path = here.path().to_owned();
    let place = Place {
        origin: open(Kind::Filesystem(settings)),
        can_store: |_| true,
        can_store_below: true,
        _server: Box::new(here),
    };
    (place, path)
}

fn writable() -> (Place, std::path::PathBuf) {
    directory(Some(0))
}

fn refusal(error: PutError) -> Reason {
    match error {
        PutError::Refused(failure) => failure.reason,
        other => panic!("{other:?}"),
    }
}

/// Names in the root that begin so.
fn names(root: &Path, start: &str) -> Vec<String> {
    let names = fs::read_dir(root).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.into_string().unwrap()
    });
    names.filter(|name| name.starts_with(start)).collect()
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_is_listed_and_not_written() {
    let (place, root) = directory(None);
    fs::write(root.join("a"), "a").unwrap();
    assert_eq!(place.keys("").await, ["a"]);
    assert!(place.store().writable().is_err());
    let error = place.put("b", &noise(1)).await.unwrap_err();
    assert_eq!(refusal(error), Reason::Denied);
    let error = place.store().delete(&key("a"), None, &Unpaced).await;
    assert_eq!(error.unwrap_err().reason, Reason::Denied);
    assert_eq!(read(&*place.origin, "a").await, b"a");
}

#[tokio::test]
async fn a_directory_without_its_marker_is_neither_written_nor_marked() {
    let (place, root) = writable();
    fs::remove_file(root.join(".media-gateway")).unwrap();
    let error = place.put("a", &noise(1)).await.unwrap_err();
    assert_eq!(refusal(error), Reason::Disk);
    let error = place.store().delete(&key("a"), None, &Unpaced).await;
    assert_eq!(error.unwrap_err().reason, Reason::Disk);
    place.store().list("", None, &Unpaced).await.unwrap_err();
    assert!(fs::read_dir(root).unwrap().next().is_none());
}

#[tokio::test]
async fn what_min_free_keeps_is_not_written_to() {
    let (place, root) = directory(Some(u64::MAX / 2));
    assert_eq!(place.store().capacity().await.unwrap().free_bytes, 0);
    let error = place.put("a", &noise(1)).await.unwrap_err();
    assert_eq!(refusal(error), Reason::Disk);
    assert!(names(&root, "a").is_empty());
    let (place, _root) = writable();
    assert!(place.store().capacity().await.unwrap().free_bytes > 0);
}

#[tokio::test]
async fn nothing_unfinished_stays_behind() {
    let (place, root) = writable();
    let object = Put {
        length: 20,
        body: broken(&noise(10)),
        ..put("a/b", &noise(0))
    };
    place.store().put(object, &Unpaced).await.unwrap_err();
    let mut hanging = Box::pin(place.store().put(
        Put {
            length: 20,
            body: object::ObjectBody::new(futures_util::stream::pending()),
            ..put("a/b", &noise(0))
        },
        &Unpaced,
    ));
    // Until the file has been made.
    while names(&root, ".media-gateway-tmp-").is_empty() {
        assert!(futures_util::poll!(&mut hanging).is_pending());
        tokio::task::yield_now().await;
    }
    drop(hanging);
    // Removing it is work for a thread; the next piece of work comes behind it.
    while !names(&root, ".media-gateway-tmp-").is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!root.join("a").exists());
}

#[tokio::test]
async fn what_needs_no_description_gets_no_file_beside_it() {
    let (place, root) = writable();
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let kept = Kept {
        content_type: Some("image/png".into()),
        ..Kept::default()
    };
    let object = Put {
        kept,
        ..put("a.png", &png)
    };
    place.store().put(object, &Unpaced).await.unwrap();
    assert!(names(&root, ".media-gateway-meta").is_empty());
}

/// Metadata of so many kilobytes, and a type that the bytes do not show.
fn described(kilobytes: usize) -> Kept {
    let metadata = (0..kilobytes).map(|n| (format!("{n:03}").into(), "v".repeat(1000).into()));
    let mut kept = Kept {
        content_type: Some("image/webp".into()),
        ..Kept::default()
    };
    kept.aside.metadata = metadata.collect();
    kept
}

#[tokio::test]
async fn a_long_description_comes_back_wherever_it_lies_and_goes_with_its_file() {
    let (place, root) = writable();
    let sidecar = root.join("d/.media-gateway-meta/a.json");
    // Attributes of most file systems hold 4 KiB at most, or 64.
    for (kilobytes, comes_back) in [(1, 1), (10, 10), (60, 60), (100, 0)] {
        let kept = described(kilobytes);
        let object = Put {
            kept,
            ..put("d/a", &noise(10))
        };
        place.store().put(object, &Unpaced).await.unwrap();
        let reply = found(&*place.origin, "d/a", Part::Head).await;
        assert_eq!(reply.head.content_type.as_deref(), Some("image/webp"));
        assert_eq!(reply.aside.metadata.len(), comes_back);
        assert!(reply.head.proofs.own.is_some(), "{kilobytes} kB");
    }
    let erased = place.store().delete(&key("d/a"), None, &Unpaced).await;
    assert_eq!(erased.unwrap().versions, 1);
    assert!(!sidecar.exists() && root.join("d").is_dir());
}

/// A file system of 8 MiB; unmounted when it is dropped. Needs root, as the tests' container is.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(directory.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "this test needs root to mount");
        Self(directory)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let umount = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.0.path())
            .status();
        drop(umount);
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_is_a_refusal_and_leaves_nothing() {
    let small = Small::mount();
    let root = small.0.path().to_owned();
    let settings = settings(&root, Some(0));
    Filesystem::open("disk", &settings).create_marker().unwrap();
    let origin = open(Kind::Filesystem(settings));
    let filler = root.join("filler");
    let chunks = (0..5).map(move |n| {
        if n == 2 {
            // Somebody else takes what is left.
            let _ = fs::write(&filler, vec![1; 8 << 20]);
        }
        Ok(noise(1 << 20))
    });
    let object = Put {
        length: 5 << 20,
        body: object::ObjectBody::new(futures_util::stream::iter(chunks)),
        ..put("a", &noise(0))
    };
    let store = origin.store().unwrap();
    let error = store.put(object, &Unpaced).await.unwrap_err();
    let PutError::Refused(failure) = error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.reason, Reason::Disk);
    assert!(failure.what.contains("full"), "{failure}");
    assert!(names(&root, ".media-gateway-tmp-").is_empty() && !root.join("a").exists());
    let error = store
        .put(put("a", &noise(4 << 20)), &Unpaced)
        .await
        .unwrap_err();
    assert!(
        matches!(error, PutError::Refused(_)),
        "it is noticed beforehand now: {error:?}"
    );
}

#[tokio::test]
async fn an_object_whose_name_becomes_a_directory_keeps_its_description() {
    let (place, _root) = writable();
    let kept = Kept {
        content_type: Some("image/webp".into()),
        ..Kept::default()
    };
    let object = Put {
        kept,
        ..put("a", &noise(10))
    };
    place.store().put(object, &Unpaced).await.unwrap();
    place.put("a/b/c", &noise(20)).await.unwrap();
    let reply = found(&*place.origin, "a", Part::Head).await;
    assert_eq!(reply.head.content_type.as_deref(), Some("image/webp"));
    assert_eq!(place.keys("").await, ["a", "a/b/c"]);
    place
        .store()
        .delete(&key("a"), None, &Unpaced)
        .await
        .unwrap();
    assert_eq!(place.keys("").await, ["a/b/c"]);
}

#[tokio::test]
async fn reserved_names_are_never_written() {
    let (place, _root) = writable();
    for name in [".media-gateway", "a/.media-gateway-self"] {
        let error = place.put(name, &noise(1)).await.unwrap_err();
        assert_eq!(refusal(error), Reason::Denied, "{name}");
    }
}
