//! `cache verify`, and damage that a viewer never sees.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::get;
use super::harness::{MIB, Setup, before, files_are, holding, metric, noise};

/// The files of slices, the largest first.
fn slices(of: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut look = vec![of.to_owned()];
    while let Some(directory) = look.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look.push(path);
            } else if path.to_string_lossy().contains("content") {
                found.push(path);
            }
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    found
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    // In place: a file that is replaced would have another inode.
    let mut permissions = fs::metadata(path).unwrap().permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "a file of the test")]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).unwrap();
    fs::write(path, bytes).unwrap();
}

async fn exit(setup: &Setup) -> (Option<i32>, serde_json::Value) {
    let output = setup.run(&["cache", "verify", "--json"]).await;
    let said = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), said)
}

#[tokio::test]
async fn damage_is_found_once_and_removed() {
    let (film, picture) = (noise(1, 3 * MIB), noise(2, 90_000));
    let origin = holding(&[("a.mp4", &film), ("b.mp4", &picture)]).await;
    for running in [true, false] {
        let setup = before(&origin).cache("memory = \"0 B\"");
        let mut gateway = Some(setup.start().await);
        for (path, bytes) in [("/a.mp4", &film), ("/b.mp4", &picture)] {
            assert!(get(gateway.as_ref().unwrap(), path).await.is(200, bytes));
        }
        files_are(&setup, 4).await;
        if !running {
            gateway.take().unwrap().stopped().await;
        }
        let (code, said) = exit(&setup).await;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said["slices"], 4, "{said}");
        assert_eq!(said["damaged"], 0, "{said}");
        let files = slices(&setup.cache_directory());
        assert_eq!(files.len(), 4, "{files:?}");
        flip(&files[0]);
        let (code, said) = exit(&setup).await;
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said["damaged"], 1, "{said}");
        assert!(!said["list"].as_array().unwrap().is_empty(), "{said}");
        let (code, said) = exit(&setup).await;
        assert_eq!((code, &said["damaged"]), (Some(0), &0.into()), "{said}");
        let gateway = match gateway {
            Some(gateway) => gateway,
            None => setup.start().await,
        };
        for (path, bytes) in [("/a.mp4", &film), ("/b.mp4", &picture)] {
            let told = get(&gateway, path).await;
            assert!(told.is(200, bytes), "{path}: {}", told.summary());
        }
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn a_viewer_never_sees_damage() {
    let (film, picture) = (noise(3, 3 * MIB), noise(4, 90_000));
    let origin = holding(&[("a.mp4", &film), ("b.mp4", &picture)]).await;
    let setup = before(&origin).cache("memory = \"0 B\"");
    let gateway = setup.start().await;
    for (path, bytes) in [("/a.mp4", &film), ("/b.mp4", &picture)] {
        assert!(get(&gateway, path).await.is(200, bytes));
    }
    files_are(&setup, 4).await;
    gateway.stopped().await;
    let files = slices(&setup.cache_directory());
    flip(&files[0]);
    fs::write(&files[1], b"").unwrap();
    fs::remove_file(&files[3]).unwrap();
    let gateway = setup.start().await;
    for _ in 0..2 {
        for (path, bytes) in [("/a.mp4", &film), ("/b.mp4", &picture)] {
            let told = get(&gateway, path).await;
            assert!(told.is(200, bytes), "{path}: {}", told.summary());
        }
    }
    let corrupt = "cache_errors_total{kind=\"corrupt\"}";
    assert!(metric(&gateway, corrupt).await >= 1);
    assert_eq!(get(&gateway, "/a.mp4").await.label(), "HIT");
    gateway.stopped().await;
}
