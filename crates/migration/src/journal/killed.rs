//! A journal whose process is killed at any moment. The child is a test of this binary.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::tests::{NOW, copied, done, plan_page, target_page};
use super::*;

const DIRECTORY: &str = "MIGRATION_TEST_DIRECTORY";
const TARGET_PAGES: u64 = 4;
const PLAN_PAGES: u64 = 5;
const PER_PAGE: u64 = 8;

/// How often: here, or where there is time.
fn kills() -> u64 {
    if std::env::var_os("MEDIA_GATEWAY_SOAK").is_some() {
        3000
    } else {
        200
    }
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("journal::killed::works_until_it_is_killed")
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What was acknowledged in one run.
#[derive(Default)]
struct Acknowledged {
    run: u64,
    target_pages: u64,
    plan_pages: u64,
    done: BTreeSet<u64>,
    is_finished: bool,
    /// That it has seen.
    kills: u64,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        let (what, number) = line.split_once(' ').unwrap();
        let number = number.parse().unwrap();
        match what {
            "run" if number == self.run => assert!(!self.is_finished, "it was finished"),
            "run" => {
                // Each kill may have come between an acknowledgement and the word of it.
                let done = self.done.len() as u64 + self.kills;
                let is_over = self.is_finished || done >= PLAN_PAGES * PER_PAGE;
                let is_over = is_over || self.run == 0;
                assert!(number > self.run && is_over, "{done} of {}", self.run);
                *self = Self {
                    run: number,
                    ..Self::default()
                };
            }
            // A page is said when it is kept: nothing that was said is listed again.
            "target" => {
                assert!(number >= self.target_pages, "listed twice");
                self.target_pages = number + 1;
            }
            "plan" => {
                assert!(number >= self.plan_pages, "listed twice");
                self.plan_pages = number + 1;
            }
            "done" => assert!(self.done.insert(number), "{number} was copied twice"),
            "finished" => self.is_finished = true,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn nothing_that_was_acknowledged_is_listed_or_copied_again_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let (mut runs, mut patience) = (0, 1);
    for kill in 0..kills() {
        let mut child = start(directory.path());
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut left = patience;
        patience = 1 + (kill + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 23;
        let mut line = String::new();
        while out.read_line(&mut line).unwrap() > 0 {
            // A line without its end was cut off by the kill, and not said.
            if let Some((_, said)) = line.split_once("| ")
                && let Some(said) = said.strip_suffix('\n')
            {
                acknowledged.hear(said);
                runs += u64::from(acknowledged.is_finished && said.starts_with("finished"));
            }
            line.clear();
            left = left.saturating_sub(1);
            if left == 0 {
                child.kill().unwrap();
                acknowledged.kills += u64::from(!acknowledged.is_finished);
                left = u64::MAX;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
    }
    assert!(runs > 10, "{runs} runs were finished");
    let journal = Journal::open(directory.path(), "all", NOW).unwrap();
    for number in &acknowledged.done {
        let is_done = journal.standing().is_done(*number);
        assert!(is_done || journal.run() > acknowledged.run, "{number}");
    }
}

#[test]
#[ignore = "run by the test above in a process of its own, which it kills"]
fn works_until_it_is_killed() {
    let say = |what: &str, number: u64| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "| {what} {number}").unwrap();
        out.flush().unwrap();
    };
    let directory = std::env::var_os(DIRECTORY).expect("the parent names a directory");
    let mut journal = Journal::open(Path::new(&directory), "all", NOW).unwrap();
    say("run", journal.run());
    let page_of = |position: &crate::record::Position| {
        position
            .after
            .as_ref()
            .map_or(0, |after| after.as_str().parse::<u64>().unwrap())
    };
    let next = |page: u64, pages: u64| (page + 1 < pages).then(|| (page + 1).to_string());
    while let Some(at) = journal.standing().target_at.clone() {
        let page = page_of(&at);
        let keys = page * PER_PAGE..(page + 1) * PER_PAGE;
        let next = next(page, TARGET_PAGES);
        journal
            .add_target(&target_page(keys, next.as_deref()))
            .unwrap();
        say("target", page);
    }
    journal.present().unwrap();
    while let Some(at) = journal.standing().source_at.clone() {
        let page = page_of(&at);
        let keys = page * PER_PAGE..(page + 1) * PER_PAGE;
        let next = next(page, PLAN_PAGES);
        journal.add_plan(&plan_page(keys, next.as_deref())).unwrap();
        say("plan", page);
    }
    if !journal.standing().is_ready {
        journal.add_plan(&PlanFrame::Ready).unwrap();
    }
    let mut walk = Walk::default();
    while let Some(items) = journal.todo(&mut walk).unwrap() {
        for (number, _) in items {
            journal.add_done(&[done(number, copied(7))]).unwrap();
            say("done", number);
        }
    }
    journal.add_plan(&PlanFrame::Finished).unwrap();
    say("finished", journal.run());
}
