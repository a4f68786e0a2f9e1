//! Notices that the name of an origin means another place than at the last start.
//!
//! What is known of an origin's keys is known of a place: without this, all that the old place had
//! and the new one has not yet would look as if the application had deleted it. What was deleted
//! before stays deleted, until it is found at the new place.

use origin_resolver::Kind;
use state::StateDirectory;

use crate::config::{Config, Origin};

/// Forgets what is not known of the places that the origins are now. Blocks. Whether all of it is
/// forgotten.
pub(crate) fn notice(config: &Config, state: &StateDirectory) -> bool {
    let mut all = true;
    let before = state.places();
    let mut places = before.clone();
    for origin in &config.origins {
        let (name, place) = (origin.name(), place(origin));
        let was = before.get(name).filter(|was| **was != place);
        if let Some(was) = was {
            tracing::warn!(
                origin = name,
                was,
                is = place,
                "this origin's name means another place than before: which keys it had is forgotten, so what is not there yet is not taken for deleted. Give a new place a new name"
            );
            if let Err(error) = forget(state, name) {
                tracing::warn!(origin = name, %error, "it cannot be forgotten yet, and is tried at the next start");
                all = false;
                continue;
            }
        }
        places.insert(name.to_owned(), place);
    }
    if places != before
        && let Err(error) = state.keep_places(&places)
    {
        tracing::warn!(%error, "which places the origins are cannot be written down");
    }
    all
}

/// The origins of a configuration whose name meant another place in the one before.
pub(crate) fn between(before: &Config, now: &Config) -> Vec<Box<str>> {
    let moved = now.origins.iter().filter(|origin| {
        let was = before.origin(origin.name());
        was.is_some_and(|was| place(was) != place(origin))
    });
    moved.map(|origin| origin.settings.name.clone()).collect()
}

fn forget(state: &StateDirectory, origin: &str) -> Result<(), Box<dyn std::error::Error>> {
    state.ledger().forget_seen(origin)?;
    state.ledger().clear_saves(origin)?;
    let mut canaries = state.canaries();
    if canaries.remove(origin).is_some() {
        state.keep_canaries(&canaries)?;
    }
    Ok(())
}

/// Where an origin is, whatever it is called and however it is read.
fn place(origin: &Origin) -> String {
    match &origin.settings.kind {
        Kind::S3(s3) => {
            let endpoint = s3.endpoint.origin().ascii_serialization();
            format!("s3 {endpoint}{} {}", s3.endpoint.path(), s3.bucket)
        }
        Kind::Http(http) => {
            let host = http.url.origin().ascii_serialization();
            format!("http {host}{}", http.url.path())
        }
        Kind::Filesystem(directory) => format!("filesystem {}", directory.root.display()),
    }
}
