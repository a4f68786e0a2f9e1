//! Records come back as they were, and stand in files as these bytes for ever.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn item() -> Item {
    Item {
        key: ObjectKey::parse("a/写.png").unwrap(),
        size_bytes: 5,
        etag: Some("\"x\"".into()),
        modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(7)),
        replaces: Some(9),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn frames_of_a_plan_come_back() {
    let page = PlanFrame::Page {
        next: Some(Position {
            prefix: 1,
            after: Some(Cursor::new("there")),
        }),
        tally: Box::default(),
        items: vec![
            item(),
            Item {
                etag: None,
                modified: None,
                replaces: None,
                ..item()
            },
        ],
        notes: vec![
            Note::new(NoteKind::Unfit, "a/../b", &"no key"),
            Note::new(NoteKind::Differs, "b", &"longer"),
            Note::new(NoteKind::Unasked, "c", &"timeout"),
        ],
    };
    let run = PlanFrame::Run {
        began: 3,
        scope: "all".into(),
    };
    for frame in [page, run, PlanFrame::Ready, PlanFrame::Finished] {
        let bytes = frame.encode();
        assert_eq!(PlanFrame::decode(&bytes).as_ref(), Some(&frame));
        for short in 0..bytes.len() {
            assert_eq!(PlanFrame::decode(&bytes[..short]), None);
        }
    }
}

#[test]
fn records_are_these_bytes_for_ever() {
    let mut bytes = Vec::new();
    item().encode(&mut bytes);
    assert_eq!(
        hex(&bytes),
        "0009612fe586992e706e670000000000000005010003227822000000000000000801\
         0000000000000009"
    );
    let outcome = Outcome::Copied {
        written: Written {
            size_bytes: 5,
            source: 6,
            target: 7,
        },
        replaced: true,
    };
    let mut bytes = Vec::new();
    let key = Fingerprint([0xab; 16]);
    let failed = Outcome::Failed {
        name: "a".into(),
        why: "no".into(),
    };
    for outcome in [outcome, failed, Outcome::Left(Left::Vanished)] {
        Done {
            number: 1,
            key,
            outcome,
        }
        .encode(&mut bytes);
    }
    let head = "0000000000000001abababababababababababababababab";
    assert_eq!(
        hex(&bytes),
        format!(
            "{head}02000000000000000500000000000000060000000000000007\
             {head}0300016100026e6f{head}05"
        )
    );
    assert_eq!(Done::decode_all(&bytes).unwrap().len(), 3);
    let page = TargetPage {
        next: None,
        bytes: 2,
        rows: vec![(key, [1; VALUE_BYTES])],
    };
    assert_eq!(TargetPage::decode(&page.encode()), Some(page.clone()));
    assert_eq!(
        hex(&page.encode()),
        format!(
            "00000000000000000200000001{}{}",
            "ab".repeat(16),
            "01".repeat(40)
        )
    );
}

#[test]
fn what_a_table_keeps_comes_back() {
    let seen = Seen {
        size_bytes: 5,
        mark: Mark::of(Some("\"x\"")),
        modified: Some(SystemTime::UNIX_EPOCH),
    };
    assert_eq!(value_to_seen(&seen_to_value(seen)), Some(seen));
    let written = Written {
        size_bytes: 1,
        source: 2,
        target: 3,
    };
    assert_eq!(value_to_written(&written_to_value(written)), Some(written));
}

#[test]
fn a_reason_of_any_length_is_kept_as_far_as_people_read() {
    let note = Note::new(NoteKind::Unfit, &"写".repeat(1000), &"é".repeat(1000));
    assert!(note.why.len() <= MOST_REASON_BYTES && note.name.len() <= object::MAX_KEY_BYTES);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PlanFrame::decode(&bytes);
        let _ = TargetPage::decode(&bytes);
        let _ = Done::decode_all(&bytes);
    }
}
