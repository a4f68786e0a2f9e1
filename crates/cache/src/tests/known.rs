//! Small objects that lie on the disk and are known without their bytes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object::{ObjectKey, Part};

use super::fake::Object;
use super::fixture::{Fixture, eventually, noise, read};
use crate::{Held, Keepsake, Served};

/// A cache without a memory tier, and in it one object that lies on the disk.
async fn with_one_on_the_disk(bytes: &[u8]) -> Fixture {
    let fixture = Fixture::with(|settings| settings.memory_bytes = 0).await;
    fixture.source.has("a", Object::of(bytes.to_vec(), "a"));
    fixture.get("a", Part::Whole).await.1.unwrap();
    eventually("it is on the disk", async || {
        fixture.cache.usage().files == 1
    })
    .await;
    // What brought it may still be in its window.
    fixture.cache.close().await;
    let fixture = fixture.restarted().await;
    fixture.source.forget_asked();
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Hit);
    assert!(read.unwrap() == bytes);
    fixture
}

/// The one file of the disk's content.
fn file(fixture: &Fixture) -> PathBuf {
    let mut at = fixture.directory().join("content/content-v2");
    while at.is_dir() {
        at = fs::read_dir(at).unwrap().next().unwrap().unwrap().path();
    }
    at
}

fn at_hand(fixture: &Fixture) -> Option<Held> {
    let key = ObjectKey::parse("a").unwrap();
    let source = fixture.source.source();
    let fits = |left: Keepsake, _: &str| left.downcast::<u32>().ok();
    let found = fixture.cache.at_hand(&fixture.space, &key, &source, fits);
    found.map(|(held, left)| {
        assert_eq!(*left, 7);
        held
    })
}

/// Whether the file system says at once what the kernel has in memory.
fn is_prompt(fixture: &Fixture) -> bool {
    let system = rustix::fs::statfs(fixture.directory()).unwrap();
    system.f_type == 0xef53
}

#[tokio::test]
async fn what_the_kernel_has_in_memory_is_at_hand() {
    let bytes = noise(100_000, 1);
    let fixture = with_one_on_the_disk(&bytes).await;
    assert!(at_hand(&fixture).is_none(), "nothing was left with it");
    fixture.held("a", Part::Whole).await.leave(Arc::new(7_u32));
    if !is_prompt(&fixture) {
        println!("not ext4: every look at the disk is waited for");
        return;
    }
    let held = at_hand(&fixture).expect("it was written a moment ago");
    assert_eq!(held.served(), Served::Hit);
    assert!(read(held.at_hand().unwrap()).await.unwrap() == bytes);
    assert!(fixture.source.asked().is_empty());
    let purged = fixture.cache.purge(fixture.key("a"));
    assert!(at_hand(&fixture).is_none(), "it was purged");
    purged.await;
}

#[tokio::test]
async fn a_file_that_was_taken_is_asked_for_before_the_answer_begins() {
    let bytes = noise(100_000, 2);
    let fixture = with_one_on_the_disk(&bytes).await;
    fixture.held("a", Part::Whole).await.leave(Arc::new(7_u32));
    fs::remove_file(file(&fixture)).unwrap();
    assert!(at_hand(&fixture).is_none());
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Miss);
    assert!(read.unwrap() == bytes);
    assert_eq!(fixture.source.asked().len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_not_at_hand_and_is_brought_again() {
    let bytes = noise(100_000, 3);
    let fixture = with_one_on_the_disk(&bytes).await;
    fixture.held("a", Part::Whole).await.leave(Arc::new(7_u32));
    let mut damaged = bytes.to_vec();
    damaged[70_000] ^= 1;
    fs::write(file(&fixture), damaged).unwrap();
    assert!(at_hand(&fixture).is_none());
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Miss);
    assert!(read.unwrap() == bytes);
}

#[tokio::test]
async fn what_is_known_grows_old_like_everything_else() {
    let bytes = noise(10_000, 4);
    let fixture = with_one_on_the_disk(&bytes).await;
    fixture.pass(Duration::from_hours(24 * 91));
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Stale);
    assert!(read.unwrap() == bytes);
}
