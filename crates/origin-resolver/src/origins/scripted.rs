//! A server for tests that answers with bytes from a script and keeps what it was sent.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is done for one request.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Sends these bytes and keeps the connection.
    Send(Vec<u8>),
    /// Sends these bytes and closes.
    SendAndClose(Vec<u8>),
    /// Sends these bytes and then nothing for ever.
    SendAndStall(Vec<u8>),
}

/// Steps taken in order, one a request, whatever connection it comes on.
pub(super) struct Scripted {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    steps: VecDeque<Step>,
    requests: Vec<String>,
    connections: usize,
}

impl Scripted {
    pub(super) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            steps: steps.into_iter().collect(),
            requests: Vec::new(),
            connections: 0,
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                shared.lock().unwrap().connections += 1;
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all requests.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let step = {
            let mut state = state.lock().unwrap();
            state.requests.push(head);
            state.steps.pop_front()
        };
        match step {
            Some(Step::Send(bytes)) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Some(Step::SendAndClose(bytes)) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Some(Step::SendAndStall(bytes)) => {
                let _ = stream.write_all(&bytes);
                loop {
                    thread::park();
                }
            }
            None => return,
        }
    }
}

/// An answer with a `Content-Length`. `head` is the status line's rest and headers, one a line.
pub(super) fn answer(head: &str, body: &str) -> Step {
    let head = format!("{head}\nContent-Length: {}", body.len());
    Step::Send(raw(&head, body))
}

/// An answer with these headers only, after which the connection closes.
pub(super) fn last_words(head: &str, body: &str) -> Step {
    Step::SendAndClose(raw(head, body))
}

/// The bytes of an answer.
pub(super) fn raw(head: &str, body: &str) -> Vec<u8> {
    let head = head.trim().replace('\n', "\r\n");
    format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes()
}

/// An S3 error of this status and code.
pub(super) fn error(status: &str, code: &str) -> Step {
    answer(
        &format!("{status}\nContent-Type: application/xml"),
        &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>"),
    )
}
