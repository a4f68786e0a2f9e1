//! What a viewer is sent: an answer with its body, or a refusal in a few words.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version, response};
use object::ObjectBody;
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::event::Event;
use crate::http::respond::{self, Refusal};
use crate::server::{Ended, OnEnd, Outgoing, Peer, Sent};

/// As it leaves.
pub(crate) type Reply = Response<Sent<Sending>>;

/// An answer that is not a refusal.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Option<Going>,
}

/// A body on its way, within the number of bodies that are sent at one time.
pub(crate) struct Going {
    pub(crate) body: ObjectBody,
    /// In bytes, where that is known.
    pub(crate) length: Option<u64>,
    pub(crate) permit: OwnedSemaphorePermit,
}

/// What a body leaves when it has ended.
pub(crate) struct Sending {
    event: Event,
    _permit: OwnedSemaphorePermit,
}

impl OnEnd for Sending {
    fn ended(self, ended: Ended) {
        self.event.ended(ended);
    }
}

impl Answer {
    pub(crate) fn without_body(head: response::Parts) -> Self {
        Self { head, body: None }
    }

    /// HTTP/1.0 knows no chunks: a body of unknown length ends with its connection, and where that
    /// cannot be reset a broken one looks whole. A HEAD is answered as its GET would be.
    fn ends_unseen(&self, peer: Peer, parts: &Parts) -> bool {
        !peer.can_be_reset
            && parts.version <= Version::HTTP_10
            && self.head.status == StatusCode::OK
            && !self.head.headers.contains_key(CONTENT_LENGTH)
    }

    fn into_reply(self, mut event: Event) -> Reply {
        event.answered(self.head.status);
        let body = match self.body {
            None => Sent::Text(Bytes::new()),
            Some(Going {
                body,
                length,
                permit,
            }) => {
                let sending = Sending {
                    event,
                    _permit: permit,
                };
                Sent::Object(Outgoing::new(body, length, sending))
            }
        };
        Response::from_parts(self.head, body)
    }
}

/// Puts into words what became of a request.
pub(crate) fn reply(
    app: &App,
    peer: Peer,
    parts: &Parts,
    answered: Result<Answer, Refusal>,
    mut event: Event,
) -> Reply {
    let answered = match answered {
        Ok(answer) if answer.ends_unseen(peer, parts) => Err(Refusal::EndUnseen),
        answered => answered,
    };
    let mut reply = match answered {
        Ok(answer) => answer.into_reply(event),
        Err(refusal) => {
            let (head, text) = respond::refuse(&refusal);
            event.answered(head.status);
            let text = match parts.method {
                Method::HEAD => Bytes::new(),
                _ => text.into(),
            };
            Response::from_parts(head, Sent::Text(text))
        }
    };
    if let (Some(hsts), true) = (&app.edge.hsts, peer.secure) {
        let headers = reply.headers_mut();
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
    reply
}
