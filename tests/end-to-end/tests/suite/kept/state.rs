//! `state export` and `import`: for the day the server burns.

use std::fs;

use test_servers::faulty::{Fault, Gate, On};

use super::client::{get, rest};
use super::harness::{MIB, before, bucket, holding, keeping, noise, route};

#[tokio::test]
async fn what_a_serving_gateway_exports_holds_on_another_machine() {
    let origin = holding(&[("a.mp4", b"a"), ("b.mp4", b"b")]).await;
    let setup = before(&origin);
    let gateway = setup.start().await;
    for path in ["/a.mp4", "/b.mp4"] {
        assert_eq!(get(&gateway, path).await.status, 200);
    }
    let said = setup
        .run(&["tombstone", "add", "a.mp4", "--reason", "law"])
        .await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let (file, again) = (setup.path("state.jsonl"), setup.path("again.jsonl"));
    let name = |path: &std::path::Path| path.display().to_string();
    let said = setup
        .json(&["state", "export", &name(&file), "--json"])
        .await;
    let length = fs::metadata(&file).unwrap().len();
    assert_eq!(said["bytes"], length, "{said}");
    let output = setup.run(&["state", "export", "-"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.len() as u64 > length / 2, "{output:?}");
    assert_eq!(get(&gateway, "/b.mp4").await.label(), "HIT");
    gateway.stopped().await;
    let output = setup.run(&["state", "export", &name(&again)]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    for file in [&file, &again] {
        let other = before(&origin);
        let taken = other
            .json(&["state", "import", &name(file), "--json"])
            .await;
        assert_eq!(taken["tombstones"]["taken"], 1, "{taken}");
        assert!(taken["ledger"]["taken"].as_u64().unwrap() >= 1, "{taken}");
        // A second time changes nothing.
        let taken = other
            .json(&["state", "import", &name(file), "--json"])
            .await;
        assert_eq!(taken["tombstones"]["taken"], 0, "{taken}");
        let gateway = other.start().await;
        assert_eq!(get(&gateway, "/a.mp4").await.status, 410);
        assert_eq!(get(&gateway, "/b.mp4").await.status, 200);
        let list = other.json(&["tombstone", "list", "--json"]).await;
        assert_eq!(list[0]["reason"], "law", "{list}");
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn what_a_serving_gateway_takes_over_holds_at_once_and_cuts_what_is_being_sent() {
    let bytes = noise(7, 3 * MIB);
    let origin = holding(&[("a.mp4", &bytes), ("b.mp4", b"b")]).await;
    let one = before(&origin);
    let said = one.run(&["tombstone", "add", "a.mp4"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let file = one.path("state.jsonl").display().to_string();
    let said = one.run(&["state", "export", &file]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");

    let gate = Gate::new();
    let half = Fault::HoldAfter(3 * MIB / 2, gate.clone());
    origin.fault(On::key("a.mp4"), half);
    let text = bucket("current", &origin).replace("500ms", "20s");
    let two = keeping(text + &route(&["current"]));
    let gateway = two.start().await;
    let mut download = gateway.ask("/a.mp4").await.unwrap();
    assert!(download.chunk().await.unwrap().is_some());
    let taken = two.json(&["state", "import", &file, "--json"]).await;
    assert_eq!(taken["tombstones"]["taken"], 1, "{taken}");
    let rest = rest(download).await;
    assert!(!rest.whole, "{}", rest.summary());
    assert_eq!(get(&gateway, "/a.mp4").await.status, 410);
    assert_eq!(get(&gateway, "/b.mp4").await.status, 200);
    gate.open();
    // What is cut short on its way changes nothing.
    fs::write(&file, &fs::read(&file).unwrap()[..100]).unwrap();
    let output = two.run(&["state", "import", &file]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.starts_with("error: nothing was imported"), "{text}");
}

#[tokio::test]
async fn a_file_that_was_cut_is_not_taken_over() {
    let origin = holding(&[]).await;
    let setup = before(&origin);
    for n in 0..20 {
        let said = setup.run(&["tombstone", "add", &format!("{n}.mp4")]).await;
        assert_eq!(said.status.code(), Some(0), "{said:?}");
    }
    let file = setup.path("state.jsonl");
    let name = file.display().to_string();
    let said = setup.run(&["state", "export", &name]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let whole = fs::read(&file).unwrap();
    for length in [0, whole.len() / 2, whole.len() - 2] {
        fs::write(&file, &whole[..length]).unwrap();
        let other = before(&origin);
        let output = other.run(&["state", "import", &name]).await;
        assert_eq!(output.status.code(), Some(1), "{length}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.starts_with("error: "), "{length}: {text}");
    }
    let absent = setup.run(&["state", "import", "/nonexistent/file"]).await;
    assert_eq!(absent.status.code(), Some(1), "{absent:?}");
    let nowhere = setup.run(&["state", "export", "/nonexistent/file"]).await;
    assert_eq!(nowhere.status.code(), Some(1), "{nowhere:?}");
}

#[tokio::test]
async fn what_comes_on_standard_input_is_taken_over_with_and_without_a_gateway() {
    let origin = holding(&[]).await;
    let setup = before(&origin);
    let said = setup.run(&["tombstone", "add", "a.mp4"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let file = setup.path("state.jsonl");
    let name = file.display().to_string();
    let said = setup.run(&["state", "export", &name]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");

    let import = ["state", "import", "-"];
    let bare = before(&origin);
    let output = bare.run_reading(&file, &import).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let gateway = bare.start().await;
    assert_eq!(get(&gateway, "/a.mp4").await.status, 410);
    gateway.stopped().await;

    let serving = before(&origin);
    let gateway = serving.start().await;
    let output = serving.run_reading(&file, &import).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(get(&gateway, "/a.mp4").await.status, 410);
}
