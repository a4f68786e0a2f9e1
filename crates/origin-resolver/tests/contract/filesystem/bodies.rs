//! A body is of one version of a file, or ends in an error.

use std::fs;
use std::io::Write;

use futures_util::StreamExt;
use object::{BodyError, Interruption, ObjectBody};
use origin_resolver::Part;

use super::Directory;
use crate::fixture::{Fixture, collect, found, noise};

/// The rest of a body that is interrupted.
async fn interruption(mut body: ObjectBody) -> BodyError {
    loop {
        match body.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                assert!(body.next().await.is_none());
                return error;
            }
            None => panic!("the body ended cleanly"),
        }
    }
}

async fn begun(directory: &Directory) -> ObjectBody {
    directory.write("media", noise(500_000));
    let origin = directory.origin();
    let mut body = found(&*origin, "media", Part::Whole).await.body;
    body.next().await.unwrap().unwrap();
    body
}

#[tokio::test]
async fn a_file_overwritten_while_it_is_sent_interrupts_its_body() {
    let directory = Directory::new();
    let body = begun(&directory).await;
    directory.write("media", noise(500_001).slice(1..));
    let error = interruption(body).await;
    assert_eq!(error.kind, Interruption::Changed);
    assert!(error.what.contains("origin disk"), "{error}");
}

#[tokio::test]
async fn a_file_that_shrinks_or_grows_while_it_is_sent_interrupts_its_body() {
    for length in [0, 70_000, 499_999, 500_001] {
        let directory = Directory::new();
        let body = begun(&directory).await;
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).open(directory.path().join("media"));
        file.unwrap().set_len(length).unwrap();
        assert_eq!(interruption(body).await.kind, Interruption::Changed);
    }
}

#[tokio::test]
async fn a_file_replaced_or_deleted_while_it_is_sent_is_sent_as_it_was() {
    for replaced in [true, false] {
        let directory = Directory::new();
        let body = begun(&directory).await;
        let path = directory.path().join("media");
        if replaced {
            let new = directory.outside().join("new");
            fs::File::create(&new).unwrap().write_all(b"new").unwrap();
            fs::rename(new, path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        assert!(collect(body).await == noise(500_000)[64 * 1024..]);
    }
}
