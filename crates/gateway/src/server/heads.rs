//! What hyper takes in a request's head and we do not: a line that ends in a bare LF, and a
//! length beside a transfer coding. A proxy in front may see another request in either.
//!
//! It does not answer: it puts a NUL where the fault is, which hyper refuses with 400 and the
//! end of the connection. Behind a request with a body it stops looking; such a request is
//! either the last of its connection or the administrator's.

use memchr::memchr;

/// The longest name that matters, with its colon.
const LONGEST_NAME: usize = "transfer-encoding:".len();

/// How a request says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length,
    Coding,
}

impl Framing {
    const ALL: [Self; 2] = [Self::Length, Self::Coding];

    fn header(self) -> &'static [u8] {
        match self {
            Self::Length => b"content-length:",
            Self::Coding => b"transfer-encoding:",
        }
    }
}

/// The heads on one connection, looked at as their bytes come.
#[derive(Debug, Default)]
pub(super) struct Heads {
    over: bool,
    /// A first line was seen, and no empty one since.
    within: bool,
    framing: Option<Framing>,
    line_bytes: usize,
    /// The line's beginning.
    name: [u8; LONGEST_NAME],
    last: u8,
}

impl Heads {
    /// Looks at the next bytes, and spoils them where they must be refused.
    pub(super) fn inspect(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !self.over && !rest.is_empty() {
            let feed = memchr(b'\n', rest);
            let (line, behind) = rest.split_at_mut(feed.unwrap_or(rest.len()));
            if let Some(colon) = self.extend_line(line) {
                return self.spoil(&mut line[colon]);
            }
            self.last = line.last().copied().unwrap_or(self.last);
            let Some((feed, next)) = behind.split_first_mut() else {
                return;
            };
            if self.last != b'\r' {
                return self.spoil(feed);
            }
            self.end_line();
            self.last = b'\n';
            rest = next;
        }
    }

    fn spoil(&mut self, byte: &mut u8) {
        *byte = 0;
        self.over = true;
    }

    /// More of the same line. Where in it the colon is that makes the head ambiguous, if there is
    /// one.
    fn extend_line(&mut self, part: &[u8]) -> Option<usize> {
        let before = self.line_bytes;
        self.line_bytes = before.saturating_add(part.len());
        if let Some(room) = self.name.get_mut(before..) {
            let taken = room.len().min(part.len());
            room[..taken].copy_from_slice(&part[..taken]);
        }
        for framing in Framing::ALL.into_iter().filter(|_| self.within) {
            let header = framing.header();
            let colon = header.len() - 1;
            if (before..self.line_bytes).contains(&colon)
                && self.name[..=colon].eq_ignore_ascii_case(header)
            {
                let other = self.framing.replace(framing);
                if other.is_some_and(|other| other != framing) {
                    return Some(colon - before);
                }
            }
        }
        None
    }

    fn end_line(&mut self) {
        let is_empty = self.line_bytes == 1;
        if !is_empty {
            // The preface of HTTP/2, which has no lines behind it.
            self.over = !self.within && self.name[..4].eq_ignore_ascii_case(b"pri ");
            self.within = true;
        } else if self.within {
            self.over = self.framing.is_some();
            self.within = false;
        }
        self.line_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes out when it is looked at in pieces of this size.
    fn inspected(bytes: &[u8], piece: usize) -> Vec<u8> {
        let mut heads = Heads::default();
        let mut bytes = bytes.to_vec();
        for piece in bytes.chunks_mut(piece) {
            heads.inspect(piece);
        }
        bytes
    }

    #[test]
    fn what_is_well_formed_passes_unchanged() {
        for request in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a:80\r\n\r\n"[..],
            b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\n\x00\n:\n\n",
        ] {
            for piece in 1..=request.len() {
                assert_eq!(inspected(request, piece), request);
            }
        }
    }

    #[test]
    fn a_bare_line_feed_is_spoiled_wherever_it_stands_in_a_head() {
        for request in [
            &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\n\r\n",
            b"\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for piece in 1..=request.len() {
                assert!(inspected(request, piece).contains(&0), "{request:?}");
            }
        }
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_spoiled_in_either_order() {
        for request in [
            &b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nTRANSFER-encoding:chunked\r\nA: b\r\nContent-LENGTH:1\r\n\r\n",
        ] {
            for piece in 1..=request.len() {
                assert!(inspected(request, piece).contains(&0), "{request:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_what_is_seen(
            bytes in "(GET |PRI |\r\n|\n|\r|:|content-length|Transfer-Encoding|a| ){0,40}",
            piece in 1_usize..8,
        ) {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(inspected(bytes, piece), inspected(bytes, usize::MAX));
        }
    }
}
