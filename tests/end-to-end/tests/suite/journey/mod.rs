//! Storage moves while it is in use: from a bucket to a bucket, from a directory to a bucket, from
//! a bucket to a directory.
//!
//! Readers never stop. Meanwhile origins fail at random, gateway and migration are killed, files
//! are uploaded and deleted. In the end the old place is switched off and erased. What a reader may
//! be told at which moment is said in `truth`; what may be read from a bucket twice, in `reading`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "measured figures, for --nocapture")]

mod application;
mod place;
mod reader;
mod reading;
mod tools;
mod travel;
mod trouble;
mod truth;

use place::Place;
use travel::{Journey, Roads};

#[tokio::test(flavor = "multi_thread")]
async fn from_a_bucket_to_another_one_nobody_notices() {
    let (old, new) = tokio::join!(Place::bucket("old"), Place::bucket("new"));
    Journey::new(old, new, Roads::UploadsToNew).travel().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_directory_to_a_bucket_nobody_notices() {
    let (old, new) = (Place::directory("old"), Place::bucket("new").await);
    Journey::new(old, new, Roads::UploadsToNew).travel().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_bucket_to_a_directory_nobody_notices() {
    let (old, new) = (Place::bucket("old").await, Place::directory("new"));
    Journey::new(old, new, Roads::UploadsToOld).travel().await;
}
