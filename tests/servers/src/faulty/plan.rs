//! Every fault that befalls one request, put together.

use std::time::Duration;

use bytes::Bytes;

use super::{Fault, Gate, Object, Reply};

#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) delay: Duration,
    pub(super) gates: Vec<Gate>,
    pub(super) before: Option<End>,
    pub(super) garbage: Option<Bytes>,
    pub(super) answer: Option<Reply>,
    pub(super) ignore_range: bool,
    pub(super) ignore_if_match: bool,
    pub(super) content_range: ContentRange,
    pub(super) length_error: i64,
    pub(super) framing: Framing,
    pub(super) headers: Vec<(String, String)>,
    pub(super) without: Vec<String>,
    pub(super) drip: Option<(usize, Duration)>,
    /// Sorted by position; equal positions in the order of the script.
    pub(super) marks: Vec<(usize, Mark)>,
    pub(super) close_idle: bool,
}

/// How the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Close,
    Reset,
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Framing {
    #[default]
    Length,
    Chunked,
    UntilClose,
}

/// What `Content-Range` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum ContentRange {
    #[default]
    True,
    Said(String),
    LeftOut,
}

impl ContentRange {
    pub(super) fn given(&self, truth: String) -> Option<String> {
        match self {
            Self::True => Some(truth),
            Self::Said(lie) => Some(lie.clone()),
            Self::LeftOut => None,
        }
    }
}

/// What happens at a position of the body.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    Hold(Gate),
    End(End),
    Replace(Box<Object>),
}

impl Plan {
    pub(super) fn add(&mut self, fault: &Fault) {
        match fault {
            Fault::Delay(time) => self.delay += *time,
            // A gate that nobody can open.
            Fault::Hang => self.gates.push(Gate::new()),
            Fault::Hold(gate) => self.gates.push(gate.clone()),
            Fault::Drop => self.before = Some(End::Close),
            Fault::Reset => self.before = Some(End::Reset),
            Fault::StallAfter(at) => self.mark(*at, Mark::Hold(Gate::new())),
            Fault::HoldAfter(at, gate) => self.mark(*at, Mark::Hold(gate.clone())),
            Fault::CutAfter(at) => self.mark(*at, Mark::End(End::Close)),
            Fault::ResetAfter(at) => self.mark(*at, Mark::End(End::Reset)),
            Fault::ReplaceAfter(at, object) => {
                self.mark(*at, Mark::Replace(Box::new(object.clone())));
            }
            Fault::Drip { bytes, every } => self.drip = Some(((*bytes).max(1), *every)),
            Fault::Chunked => self.framing = Framing::Chunked,
            Fault::UntilClose => self.framing = Framing::UntilClose,
            Fault::WrongLength(error) => self.length_error = *error,
            Fault::ContentRange(Some(value)) => {
                self.content_range = ContentRange::Said(value.clone());
            }
            Fault::ContentRange(None) => self.content_range = ContentRange::LeftOut,
            Fault::IgnoreRange => self.ignore_range = true,
            Fault::IgnoreIfMatch => self.ignore_if_match = true,
            Fault::Answer(reply) => self.answer = Some(reply.clone()),
            Fault::Headers(headers) => self.headers.extend_from_slice(headers),
            Fault::Without(names) => self.without.extend_from_slice(names),
            Fault::Garbage(bytes) => self.garbage = Some(bytes.clone()),
            Fault::CloseIdle => self.close_idle = true,
        }
    }

    fn mark(&mut self, at: usize, mark: Mark) {
        let place = self.marks.partition_point(|(other, _)| *other <= at);
        self.marks.insert(place, (at, mark));
    }
}
