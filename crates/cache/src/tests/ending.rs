//! What is purged, erased, or lost with the disk.

use futures_util::StreamExt;
use object::{ByteRange, Extent, Part};

use super::fake::{Object, PIECE};
use super::fixture::{Fixture, eventually, name, noise, read};
use crate::disk::Purge;
use crate::{Answer, Keep, Served};

const MIB: usize = 1024 * 1024;

impl Fixture {
    async fn kept(&self, name: &str) {
        eventually("it is kept", async || {
            self.get(name, Part::Whole).await.0 == Served::Hit
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_purged_is_asked_for_again_and_nothing_else() {
    let fixture = Fixture::new().await;
    let everything = [
        Purge::All,
        fixture.key("a/1"),
        Purge::Space(fixture.space.clone()),
        Purge::Prefix {
            space: fixture.space.clone(),
            prefix: "a/".into(),
        },
    ];
    for what in everything {
        for key in ["a/1", "b/1"] {
            fixture.source.has(key, Object::of(noise(3000, 1), "a"));
            fixture.get(key, Part::Whole).await.1.unwrap();
            fixture.kept(key).await;
        }
        fixture.cache.purge(what.clone()).await;
        let served = fixture.get("a/1", Part::Whole).await.0;
        assert_eq!(served, Served::Miss, "{what:?}");
        let other = fixture.get("b/1", Part::Whole).await.0;
        let narrow = matches!(what, Purge::Key { .. } | Purge::Prefix { .. });
        assert_eq!(other == Served::Hit, narrow, "{what:?}");
    }
}

#[tokio::test]
async fn a_download_that_began_before_a_purge_is_not_kept() {
    let fixture = Fixture::new().await;
    let bytes = noise(3 * MIB, 2);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    fixture.source.hold();
    let purged_meanwhile = async {
        eventually("it was asked for", async || {
            !fixture.source.asked().is_empty()
        })
        .await;
        fixture.cache.purge(fixture.key("a")).await;
        fixture.source.release_answers(1);
        fixture.source.release_pieces(1000);
    };
    let ((_, late), ()) = tokio::join!(fixture.get("a", Part::Whole), purged_meanwhile);
    assert!(late.unwrap() == bytes);
    fixture.source.forget_asked();
    fixture.source.release_answers(100);
    fixture.get("a", Part::Whole).await.1.unwrap();
    assert_eq!(fixture.source.asked().len(), 1);
}

#[tokio::test]
async fn a_running_response_goes_on_over_a_purge_and_is_cut_by_an_erasure() {
    for erases in [false, true] {
        let fixture = Fixture::new().await;
        let bytes = noise(3 * MIB, 3);
        fixture.source.has("a", Object::of(bytes.clone(), "a"));
        fixture.source.hold();
        fixture.source.release_answers(1);
        fixture.source.release_pieces(3);
        let mut held = fixture.held("a", Part::Whole).await;
        let whole = ByteRange::whole(held.total());
        let mut body = held.begin(whole, Part::Whole).await.unwrap();
        body.next().await.unwrap().unwrap();
        if erases {
            fixture.erase("a").await;
        } else {
            fixture.cache.purge(fixture.key("a")).await;
        }
        fixture.source.release_answers(1000);
        fixture.source.release_pieces(1000);
        assert_eq!(read(body).await.is_err(), erases);
    }
}

#[tokio::test]
async fn a_body_that_is_passed_through_is_cut_by_an_erasure() {
    let fixture = Fixture::new().await;
    let mut object = Object::of(noise(5 * PIECE, 4), "a");
    object.keep = Keep::Nowhere;
    fixture.source.has("a", object);
    fixture.source.hold();
    fixture.source.release_answers(1);
    fixture.source.release_pieces(1);
    let Answer::Passing(passing) = fixture.open("a", Part::Whole).await else {
        panic!("it was kept");
    };
    assert!(matches!(passing.extent(), Extent::Bytes(_)));
    let mut body = passing.into_body();
    body.next().await.unwrap().unwrap();
    let (ended, _) = tokio::join!(body.next(), fixture.erase("a"));
    assert!(ended.unwrap().is_err());
}

#[tokio::test]
async fn what_a_response_has_just_ended_with_is_kept_over_a_stop_in_order() {
    for length in [1000, 2 * MIB + 1000] {
        let fixture = Fixture::new().await;
        let bytes = noise(length, 4);
        fixture.source.has("a", Object::of(bytes.clone(), "a"));
        assert!(fixture.get("a", Part::Whole).await.1.unwrap() == bytes);
        fixture.cache.close().await;
        let fixture = fixture.restarted().await;
        fixture.source.forget_asked();
        let (served, read) = fixture.get("a", Part::Whole).await;
        assert_eq!(served, Served::Hit);
        assert!(read.unwrap() == bytes);
        assert_eq!(fixture.source.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn without_a_usable_disk_memory_serves_and_slices_are_asked_for_one_by_one() {
    let fixture = Fixture::with(|settings| {
        settings.disk.directory = "/proc/no-cache-can-be-made-here".into();
    })
    .await;
    assert!(!fixture.cache.is_up());
    let bytes = noise(3 * MIB + 1, 5);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    for served in [Served::Miss, Served::Hit] {
        let (is, read) = fixture.get("a", Part::Whole).await;
        assert_eq!(is, served);
        assert!(read.unwrap() == bytes);
    }
    assert_eq!(
        fixture.source.asked().len(),
        4,
        "{:?}",
        fixture.source.asked()
    );
}

#[tokio::test]
async fn without_disk_and_memory_everything_is_served_all_the_same() {
    let fixture = Fixture::with(|settings| {
        settings.disk.directory = "/proc/no-cache-can-be-made-here".into();
        settings.memory_bytes = 0;
        settings.fill_memory_bytes = 1;
    })
    .await;
    let bytes = noise(3 * MIB + 1, 6);
    fixture.source.has("a", Object::of(bytes.clone(), "a"));
    let both = tokio::join!(fixture.get("a", Part::Whole), fixture.get("a", Part::Whole));
    assert!(both.0.1.unwrap() == bytes && both.1.1.unwrap() == bytes);
    assert_eq!(name(&fixture.open("b", Part::Whole).await), "missing");
}
