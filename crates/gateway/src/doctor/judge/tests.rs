//! What sets of facts mean, told without asking anybody.

use std::time::Duration;

use origin_resolver::{Failure, Reason, RootReport, VerdictLabel};

use super::judge;
use crate::config::{Config, Origin};
use crate::doctor::facts::{Facts, Heard};
use crate::doctor::finding::{Check, Finding, Level};
use crate::doctor::probe::Probed;

fn origin(lines: &str) -> Origin {
    let text = format!(
        "[origins.current]\n{lines}\n\
         [[routes]]\nurl = \"/\"\nkeys = [\"m/\"]\norigins = [\"current\"]\n"
    );
    let loaded = Config::parse("gateway.toml", &text, []).unwrap();
    loaded.config.origins.into_iter().next().unwrap()
}

fn bucket(lines: &str) -> Origin {
    origin(&format!(
        "kind = \"s3\"\nendpoint = \"https://s3.example.com\"\nbucket = \"media\"\n{lines}"
    ))
}

const KEYS: &str = "access_key_id = \"a\"\nsecret_access_key = \"b\"";

/// What a healthy bucket says.
fn healthy() -> Facts {
    Facts {
        round_trips: vec![Duration::from_millis(20); 3],
        absent: Some(Heard::Missing),
        verdict: Some((VerdictLabel::Missing, None)),
        clock_ahead_seconds: Some(0),
        ..Facts::default()
    }
}

fn failure(reason: Reason) -> Failure {
    Failure::new(reason, "current: it says no")
}

fn findings(origin: &Origin, facts: &Facts) -> Vec<Finding> {
    judge(origin, &["m/".to_owned()], facts)
}

fn level(findings: &[Finding], check: Check) -> Option<Level> {
    let found = findings.iter().find(|finding| finding.check == check);
    found.map(|finding| finding.level)
}

fn levels(origin: &Origin, facts: &Facts, check: Check) -> Option<Level> {
    level(&findings(origin, facts), check)
}

#[test]
fn whatever_is_a_problem_or_a_warning_comes_with_a_remedy() {
    let directory = origin("kind = \"filesystem\"\nroot = \"/srv/media\"");
    let web = origin("kind = \"http\"\nurl = \"https://old.example.com/\"");
    for origin in [bucket(""), bucket(KEYS), directory, web] {
        for reason in Reason::ALL {
            let failed = || Heard::Failed(failure(reason));
            let unknown = Some((VerdictLabel::Unknown, Some(failure(reason))));
            let silent = Facts {
                no_answer: Some(failure(reason)),
                ..Facts::default()
            };
            let refusing = Facts {
                absent: Some(failed()),
                absent_signed: Some(failed()),
                verdict: unknown.clone(),
                listed: Some(Err(failure(reason))),
                no_answer: Some(failure(reason)),
                ..healthy()
            };
            let forbidding = Facts {
                absent: Some(Heard::Forbidden),
                verdict: unknown,
                ..healthy()
            };
            for facts in [silent, refusing, forbidding] {
                let findings = findings(&origin, &facts);
                assert!(!findings.is_empty());
                for finding in findings {
                    let needs_one = finding.level >= Level::Warning;
                    assert!(!needs_one || !finding.remedy.is_empty(), "{finding:?}");
                    assert!(!finding.what.contains("current: "), "{finding:?}");
                }
            }
        }
    }
}

#[test]
fn every_unknown_for_an_absent_key_is_a_problem() {
    for reason in Reason::ALL {
        let facts = Facts {
            absent: Some(Heard::Failed(failure(reason))),
            verdict: Some((VerdictLabel::Unknown, Some(failure(reason)))),
            ..healthy()
        };
        let found = levels(&bucket(""), &facts, Check::AbsentKey);
        assert_eq!(found, Some(Level::Problem), "{reason}");
    }
}

#[test]
fn clocks_count_where_something_is_signed() {
    for (ahead, anonymous, signed) in [
        (0, Level::Ok, Level::Ok),
        (-60, Level::Ok, Level::Ok),
        (61, Level::Warning, Level::Warning),
        (-900, Level::Warning, Level::Warning),
        (-901, Level::Warning, Level::Problem),
        (i64::MIN, Level::Warning, Level::Problem),
    ] {
        let facts = Facts {
            clock_ahead_seconds: Some(ahead),
            ..healthy()
        };
        assert_eq!(levels(&bucket(""), &facts, Check::Clock), Some(anonymous));
        assert_eq!(levels(&bucket(KEYS), &facts, Check::Clock), Some(signed));
    }
}

#[test]
fn the_median_decides_and_a_slow_handshake_does_not() {
    let facts = |millis: [u64; 3]| Facts {
        round_trips: millis.map(Duration::from_millis).to_vec(),
        ..healthy()
    };
    let level = |millis| levels(&bucket(""), &facts(millis), Check::Reachable);
    assert_eq!(level([3000, 20, 21]), Some(Level::Ok));
    assert_eq!(level([3000, 900, 500]), Some(Level::Notice));
}

fn report() -> RootReport {
    RootReport {
        device: 1,
        total_bytes: 100_000_000_000,
        free_bytes: 10_000_000_000,
        marker_present: true,
        entries_sampled: 5,
        unreadable: None,
    }
}

#[test]
fn a_directory_is_judged_by_marker_space_and_permissions() {
    let disk = origin(
        "kind = \"filesystem\"\nroot = \"/srv/media\"\nwritable = true\nmin_free = \"20 GB\"",
    );
    let facts = |report| Facts {
        root: Some(Ok(report)),
        ..healthy()
    };
    let unreadable = RootReport {
        unreadable: Some("a is owned by uid 991".to_owned()),
        ..report()
    };
    let found = findings(&disk, &facts(unreadable));
    assert_eq!(level(&found, Check::Permissions), Some(Level::Problem));
    assert_eq!(level(&found, Check::Disk), Some(Level::Warning));
    assert_eq!(level(&found, Check::Marker), Some(Level::Ok));

    let unmarked = RootReport {
        marker_present: false,
        ..report()
    };
    let found = findings(&disk, &facts(unmarked));
    assert_eq!(level(&found, Check::Marker), Some(Level::Problem));
    assert_eq!(level(&found, Check::AbsentKey), None);

    let hung = findings(&disk, &Facts::default());
    assert_eq!(level(&hung, Check::Reachable), Some(Level::Problem));
    assert_eq!(hung.len(), 1);
}

#[test]
fn a_short_listing_proves_that_nothing_lies_there_and_a_full_one_does_not() {
    let facts = |count: usize| Facts {
        listed: Some(Ok((0..count).map(|n| format!("x{n}/")).collect())),
        ..healthy()
    };
    let found = findings(&bucket(""), &facts(99));
    assert_eq!(level(&found, Check::Published), Some(Level::Notice));
    assert_eq!(level(&found, Check::Unpublished), Some(Level::Notice));
    let found = findings(&bucket(""), &facts(100));
    assert_eq!(level(&found, Check::Published), None);
    assert_eq!(level(&found, Check::Unpublished), Some(Level::Notice));
}

#[test]
fn what_cannot_be_written_read_or_deleted_is_a_problem_with_a_remedy() {
    let bucket = bucket(KEYS);
    let said = |probed| {
        let facts = Facts {
            probed,
            ..healthy()
        };
        let all = findings(&bucket, &facts);
        let found = all.into_iter().find(|found| found.check == Check::Writing);
        found.map(|found| (found.level, found.remedy))
    };
    assert_eq!(said(None), None);
    assert_eq!(said(Some(Probed::Fine)).unwrap().0, Level::Ok);
    for (probed, word) in [
        (Probed::Refused("403".to_owned()), "s3:PutObject"),
        (Probed::Unreadable("no".to_owned()), "write_acl"),
        (
            Probed::Left {
                key: "m/probe".to_owned(),
                why: "403".to_owned(),
            },
            "s3:DeleteObject",
        ),
    ] {
        let (level, remedy) = said(Some(probed)).unwrap();
        assert_eq!(level, Level::Problem);
        assert!(remedy.contains(word), "{remedy}");
    }
}
