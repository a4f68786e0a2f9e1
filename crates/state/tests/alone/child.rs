//! A test of this binary, run in a process of its own that can be killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const DIRECTORY: &str = "STATE_TEST_DIRECTORY";
const ROUND: &str = "STATE_TEST_ROUND";

static ALONE: Mutex<()> = Mutex::new(());

/// Taken by every test that starts a process: for a moment a new process has the open files of
/// this one, the locks of another test's directories among them.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often something is repeated: here, or where there is time.
pub(crate) fn rounds(here: u64, soak: u64) -> u64 {
    if is_soak() { soak } else { here }
}

pub(crate) fn is_soak() -> bool {
    std::env::var_os("MEDIA_GATEWAY_SOAK").is_some()
}

/// Numbers that differ from round to round and are the same in every run.
pub(crate) fn scatter(round: u64, below: u64) -> u64 {
    let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)) % below
}

/// A running child; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    said: Receiver<String>,
}

/// Starts a test of this binary.
pub(crate) fn start(test: &str, directory: &Path, round: u64) -> Running {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (tell, said) = channel();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        while let Some(line) = whole_line(&mut out) {
            // The test harness does not end its own line before the first of the child's.
            if let Some((_, line)) = line.split_once("| ")
                && tell.send(line.to_owned()).is_err()
            {
                return; // nobody listens any more
            }
        }
    });
    Running { child, said }
}

/// A line with its end: what was cut off by a kill was not said.
fn whole_line(out: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.strip_suffix('\n').map(str::to_owned)
}

impl Running {
    /// The next line that the child says with [`say`]; `None` when it has ended.
    pub(crate) fn hear(&mut self) -> Option<String> {
        self.said.recv().ok()
    }

    /// Lets the child get on for a time, unless it says something or ends before.
    pub(crate) fn hear_within(&mut self, time: Duration) {
        let _ = self.said.recv_timeout(time);
    }

    /// Kills the child with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the child's own end.
    pub(crate) fn succeed(mut self) -> Vec<String> {
        let said: Vec<_> = std::iter::from_fn(|| self.hear()).collect();
        assert!(self.child.wait().unwrap().success(), "{said:?}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: tells the parent.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "| {text}").unwrap();
    out.flush().unwrap();
}

/// In the child: where it works, and in which round.
pub(crate) fn task() -> (PathBuf, u64) {
    let directory = std::env::var_os(DIRECTORY).expect("the parent names a directory");
    let round = std::env::var(ROUND).unwrap().parse().unwrap();
    (directory.into(), round)
}
