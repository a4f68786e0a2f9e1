//! A file's bytes as a stream.
//!
//! Reads ahead nothing: what is held is what the last read brought. Dropping the stream closes
//! the file, at once or when a read in progress returns.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream;
use object::{BodyError, Interruption, ObjectBody};

use super::hands::Hands;
use super::reader::Reader;

/// The bytes already read, then the rest.
pub(super) fn body(first: Vec<Bytes>, rest: Option<Reader>, hands: &Hands) -> ObjectBody {
    if first.is_empty() && rest.is_none() {
        return ObjectBody::empty();
    }
    let state = State {
        ready: first.into(),
        rest,
        hands: hands.clone(),
    };
    ObjectBody::new(stream::try_unfold(state, State::next))
}

struct State {
    ready: VecDeque<Bytes>,
    rest: Option<Reader>,
    hands: Hands,
}

impl State {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BodyError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some((chunk, self)));
            }
            let Some(mut reader) = self.rest.take() else {
                return Ok(None);
            };
            let origin = reader.origin().clone();
            let read = self.hands.patiently(move || {
                let chunks = reader.read();
                // A file that has been read is closed here, where closing may block.
                (chunks, (!reader.is_done()).then_some(reader))
            });
            let (chunks, rest) = read.await.map_err(|failure| {
                BodyError::new(
                    Interruption::Cut,
                    format!("origin {origin}: {}", failure.what),
                )
            })?;
            self.ready = chunks?.into();
            self.rest = rest;
        }
    }
}
