//! What the page says of a gateway, and that nothing of it can be made to say something else.

use std::collections::BTreeMap;
use std::time::Instant;

use askama::Template;

use super::snapshot::{
    BudgetStatus, CacheStatus, EgressPrice, Health, OriginStatus, RouteStatus, SavedKey, Saves,
    Snapshot, Span,
};
use super::view::{
    Confirm, ExplainView, FormView, Frame, Outcome, OutcomeView, PageView, Tab, WithdrawnRow,
    WithdrawnView,
};
use super::words::Language;
use crate::audits::{Audited, Audits};
use crate::explain::{Explanation, OriginSays};
use crate::migrations::{End, Failed, Migrations, Told};

/// What somebody might put into a key, a reason or a name.
const HOSTILE: &str = "<script>alert(1)</script>\"'&\r\n<img src=x onerror=y>";

fn well() -> Snapshot {
    let origin = |name: &str, state| OriginStatus {
        name: name.to_owned(),
        state,
        up: true,
        health: Health::Answers,
        questions: BTreeMap::from([("found", 9), ("missing", 1), ("unknown", 0)]),
        ..OriginStatus::default()
    };
    Snapshot {
        version: "1.2.3",
        accepting: true,
        origins: vec![origin("new", "active"), origin("old", "rehearsal")],
        hour: Span {
            seconds: 3_600,
            found: 7_200,
            hit_ratio: Some(0.9),
            saved_bytes: 10_000_000_000,
            ..Span::default()
        },
        cache: Some(CacheStatus {
            up: true,
            ..CacheStatus::default()
        }),
        ..Snapshot::default()
    }
}

fn shown(snapshot: &Snapshot, language: Language) -> String {
    let frame = Frame::new(language, Tab::Overview);
    PageView::of(frame, snapshot).render().unwrap()
}

fn told(failure: &str) -> Migrations {
    let migrations = Migrations::default();
    let moment = serde_json::json!({
        "from": "old", "to": "new", "phase": "copying", "target_objects": 0,
        "source_objects": 9, "planned_objects": 8, "planned_bytes": 800, "done_objects": 4,
        "failed": 1, "bytes": 400, "copying_seconds": 4, "shard": failure,
    });
    let told: Told = serde_json::from_value(moment).unwrap();
    let failed = Failed {
        key: failure.into(),
        why: failure.into(),
    };
    let told = Told {
        failures: vec![failed],
        ..told
    };
    migrations.tell(told, Instant::now());
    migrations
}

#[test]
fn all_is_well_in_one_sentence_of_each_language() {
    let snapshot = well();
    let english = shown(&snapshot, Language::English);
    assert!(english.contains("All origins answer."), "{english}");
    assert!(english.contains("No errors in the last hour."), "{english}");
    assert!(english.contains("headline good"), "{english}");
    assert!(english.contains("<html lang=\"en\">"));
    let japanese = shown(&snapshot, Language::Japanese);
    assert!(
        japanese.contains("すべてのオリジンが応答しています。"),
        "{japanese}"
    );
    assert!(japanese.contains("<html lang=\"ja\">"));
}

#[test]
fn what_is_wrong_comes_first_and_in_words() {
    let mut snapshot = well();
    snapshot.origins[0].health = Health::Down;
    snapshot.origins[0].up = false;
    snapshot.origins[0].last_failure_reason = Some("timeout");
    snapshot.hour.failed = 12;
    let text = shown(&snapshot, Language::English);
    assert!(text.contains("headline bad"), "{text}");
    assert!(
        text.contains("“new” does not answer: no answer in time."),
        "{text}"
    );
    assert!(
        text.contains("Requests answered with an error in the last hour: 12."),
        "{text}"
    );
    assert!(!text.contains("All origins answer."), "{text}");
    snapshot.origins[0].health = Health::Suspect;
    snapshot.cache.as_mut().unwrap().up = false;
    let text = shown(&snapshot, Language::English);
    assert!(text.contains("Its “missing” counts for nothing."), "{text}");
    assert!(text.contains("The cache’s disk cannot be used"), "{text}");
}

#[test]
fn less_than_an_hour_is_not_called_one() {
    let mut snapshot = well();
    snapshot.hour.seconds = 300;
    let text = shown(&snapshot, Language::English);
    assert!(
        text.contains("No errors since the start 5 min ago."),
        "{text}"
    );
}

#[test]
fn how_far_the_move_is_stands_below_the_sentence() {
    let mut snapshot = well();
    snapshot.migrations = told("1/2").status(Instant::now());
    let audits = Audits::default();
    let audited = Audited {
        origin: "old".into(),
        verdict: "safe".into(),
        objects: 9,
        proven: 9,
        blocked: 0,
        blockers: Vec::new(),
        doubts: Vec::new(),
    };
    audits.tell(audited, Instant::now());
    snapshot.audits = audits.status(Instant::now());
    snapshot.origins[1].saves = Some(Saves {
        by_reason: BTreeMap::from([("missing", 3)]),
        ..Saves::default()
    });
    let text = shown(&snapshot, Language::English);
    for said in [
        "“old” is being copied to “new”: 50 %, 4 s left.",
        "“old” may be switched off, as its audit 0 s ago says.",
        "Requests that would have been lost: 3.",
        "old → new (1/2)",
        "value=\"500\"",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let mut ended = told("1/2").status(Instant::now());
    ended[0].told.end = Some(End::Complete);
    snapshot.migrations = ended;
    let text = shown(&snapshot, Language::English);
    assert!(
        text.contains("Complete: the target has everything."),
        "{text}"
    );
    assert!(!text.contains("is being copied"), "{text}");
}

#[test]
fn what_the_cache_saves_is_said_in_money_where_the_price_is_known() {
    let mut snapshot = well();
    assert!(!shown(&snapshot, Language::English).contains("USD"));
    snapshot.egress_price = Some(EgressPrice {
        per_gigabyte: 0.09,
        currency: "USD".to_owned(),
    });
    let text = shown(&snapshot, Language::English);
    assert!(
        text.contains("<dd class=\"value\">10 GB</dd><dd class=\"note\">0.90 USD</dd>"),
        "{text}"
    );
}

#[test]
fn budgets_copies_and_deletions_are_told_where_there_are_some() {
    let mut snapshot = well();
    assert!(shown(&snapshot, Language::English).contains("No route promotes."));
    snapshot.promotions_waiting = Some(7);
    snapshot.origins[0].promotions = BTreeMap::from([("copied", 1_200), ("differs", 1)]);
    snapshot.origins[1].budget = Some(BudgetStatus {
        left_bytes: 100_000_000_000,
        of_bytes: 900_000_000_000,
        period: "month",
    });
    snapshot.routes = vec![RouteStatus {
        name: "media".to_owned(),
        promote_to: Some("new".to_owned()),
        withdrawn: 30,
        withdrawn_brake: true,
        ..RouteStatus::default()
    }];
    let text = shown(&snapshot, Language::English);
    for said in [
        "<dt>Waiting</dt><dd>7</dd>",
        "<dt>To “new”</dt><dd>copied 1,200 · another object there 1</dd>",
        "100 GB of 900 GB left this month",
        "30 noticed since the start",
        "More than deletes_brake lets follow",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn what_others_have_written_is_text_and_nothing_else() {
    let mut snapshot = well();
    let hostile = || HOSTILE.to_owned();
    snapshot.origins[0].last_failure = Some(hostile());
    snapshot.origins[1].saves = Some(Saves {
        keys: Some(1),
        first: vec![SavedKey {
            key: hostile(),
            reason: "missing",
            count: 1,
        }],
        ..Saves::default()
    });
    snapshot.retired = vec![hostile()];
    snapshot.routes = vec![RouteStatus {
        name: hostile(),
        ..RouteStatus::default()
    }];
    snapshot.migrations = told(HOSTILE).status(Instant::now());
    let audits = Audits::default();
    let audited = Audited {
        origin: HOSTILE.into(),
        verdict: HOSTILE.into(),
        objects: 0,
        proven: 0,
        blocked: 1,
        blockers: vec![HOSTILE.into()],
        doubts: vec![HOSTILE.into()],
    };
    audits.tell(audited, Instant::now());
    snapshot.audits = audits.status(Instant::now());
    let explained = Explanation {
        url: hostile(),
        route: Some(hostile()),
        key: Some(hostile()),
        hint: Some(hostile()),
        held: None,
        withdrawn: None,
        origins: vec![OriginSays {
            origin: hostile(),
            own_key: Some(hostile()),
            verdict: hostile(),
            reason: Some(hostile()),
            what: Some(hostile()),
            length: None,
            content_type: Some(hostile()),
            milliseconds: 1,
        }],
        status: 503,
        because: hostile(),
    };
    let row = WithdrawnRow {
        route: hostile(),
        origin: hostile(),
        key: hostile(),
        since: hostile(),
        followed: true,
    };
    for language in Language::ALL {
        let f = Frame::new(language, Tab::Other);
        let typed = (HOSTILE, true, HOSTILE);
        let places = Ok(vec![hostile()]);
        let pages = [
            shown(&snapshot, language),
            ExplainView::of(f, &explained).render().unwrap(),
            ExplainView::form(f, HOSTILE, Some(HOSTILE))
                .render()
                .unwrap(),
            FormView::new(f, Confirm::Tombstone, typed, places)
                .render()
                .unwrap(),
            FormView::new(f, Confirm::Purge, typed, Err(hostile()))
                .render()
                .unwrap(),
            OutcomeView::of(f, Outcome::Refused(hostile()))
                .render()
                .unwrap(),
            WithdrawnView::of(f, Ok((vec![row.clone()], Some(hostile()))))
                .render()
                .unwrap(),
            WithdrawnView::of(f, Err(hostile())).render().unwrap(),
        ];
        for page in pages {
            assert!(page.contains("alert(1)"), "{page}");
            assert!(
                !page.contains("<script>") && !page.contains("<img src=x"),
                "{page}"
            );
            // Nor does any of it leave the attribute that it stands in.
            assert!(!page.contains("\"'&"), "{page}");
        }
    }
}

#[test]
fn no_template_turns_escaping_off_or_brings_inline_script_or_style() {
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let mut seen = 0;
    for file in std::fs::read_dir(templates).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for forbidden in [
            "|safe",
            "| safe",
            "|escape(",
            "style=",
            "<style",
            "onclick",
            "onload",
            "javascript:",
            "http://",
            "//cdn",
        ] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", path.display());
        }
        let scripts = text.matches("<script").count();
        assert_eq!(
            scripts,
            text.matches("<script src=\"/page.js\" defer></script>")
                .count()
        );
        seen += 1;
    }
    assert!(seen >= 10);
}
