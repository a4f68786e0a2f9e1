//! Small objects that lie on the disk and are known without their bytes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object::{ObjectKey, Part};

use super::fake::Object;
use super::fixture::{Fixture, eventually, noise, read};
use crate::version::Version;
use crate::{Held, Served};

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
    fixture.cache.at_hand(&fixture.space, &key, &source)
}

fn left_with(held: &Held) -> Option<u32> {
    let left: Arc<u32> = held.keepsake()?.downcast().ok()?;
    Some(*left)
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
    if !is_prompt(&fixture) {
        println!("not ext4: every look at the disk is waited for");
        return;
    }
    let known = fixture.held("a", Part::Whole).await;
    known.leave(Arc::new(7_u32));
    let held = at_hand(&fixture).expect("it was written a moment ago");
    assert_eq!(held.served(), Served::Hit);
    assert!(read(held.at_hand().unwrap()).await.unwrap() == bytes);
    assert_eq!(left_with(&held), Some(7));
    // Of what the memory has forgotten, the row is still there.
    fixture.cache.parts.memory.drop_version(&known.version);
    drop((known, held));
    let held = at_hand(&fixture).expect("its row was read a moment ago");
    assert!(read(held.at_hand().unwrap()).await.unwrap() == bytes);
    assert_eq!(left_with(&held), None);
    assert!(fixture.source.asked().is_empty());
    let purged = fixture.cache.purge(fixture.key("a"));
    assert!(at_hand(&fixture).is_none(), "it was purged");
    purged.await;
}

#[tokio::test]
async fn a_file_that_was_taken_is_asked_for_before_the_answer_begins() {
    let bytes = noise(100_000, 2);
    let fixture = with_one_on_the_disk(&bytes).await;
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
    let mut damaged = bytes.to_vec();
    damaged[70_000] ^= 1;
    fs::write(file(&fixture), damaged).unwrap();
    assert!(at_hand(&fixture).is_none());
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Miss);
    assert!(read.unwrap() == bytes);
}

#[tokio::test]
async fn bytes_that_lie_on_the_disk_are_not_taken_for_those_of_a_version_that_came_meanwhile() {
    let fixture = with_one_on_the_disk(&noise(10_000, 5)).await;
    let parts = &fixture.cache.parts;
    let key = ObjectKey::parse("a").unwrap();
    let mut row = parts.disk.find(&fixture.space, &key).await.unwrap();
    let place = fixture.held("a", Part::Whole).await.version.place.clone();
    row.facts.number += 1;
    let newer = parts.live.adopt(Version::of_row(row, &parts.live));
    let version = parts.memory.object(&fixture.space, &key).unwrap().version;
    parts.memory.drop_version(&version);
    let Some(found) = parts.known_at_once(&place, 0) else {
        assert!(!is_prompt(&fixture));
        return;
    };
    assert_eq!(found.version.number, newer.number);
    assert!(found.bytes.is_none());
}

#[tokio::test]
async fn an_object_that_no_reader_may_hold_is_not_read_to_be_at_hand() {
    let bytes = noise(200_000, 6);
    let fixture = with_one_on_the_disk(&bytes).await;
    let parts = &fixture.cache.parts;
    let key = ObjectKey::parse("a").unwrap();
    let version = parts.memory.object(&fixture.space, &key).unwrap().version;
    parts.memory.drop_version(&version);
    assert!(at_hand(&fixture).is_none());
    assert!(parts.memory.object(&fixture.space, &key).is_none());
    let (served, read) = fixture.get("a", Part::Whole).await;
    assert_eq!(served, Served::Hit);
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
