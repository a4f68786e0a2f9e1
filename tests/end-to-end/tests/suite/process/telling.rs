//! How far a migration is, told to the gateway beside it and to one somewhere else.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::{Gateway, Setup, directory, route};

const TOKEN: &str = "a-token-of-thirty-two-characters";

/// A directory with some objects, and one without.
struct Ends(TempDir);

impl Ends {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir_all(room.path().join("old/media")).unwrap();
        fs::create_dir(room.path().join("new")).unwrap();
        // An empty directory without one might be a disk that is not mounted.
        fs::write(room.path().join("new/.media-gateway"), b"").unwrap();
        for n in 0..5 {
            fs::write(room.path().join(format!("old/media/{n}.bin")), [n; 1000]).unwrap();
        }
        Self(room)
    }

    fn setup(&self) -> Setup {
        let at = |name: &str| directory(name, &self.0.path().join(name));
        let new = at("new").replace("marker = \"\"", "writable = true\nmin_free = \"1 MB\"");
        Setup::new(at("old") + &new + &route(&["new", "old"]))
    }
}

async fn told(gateway: &Gateway) -> Value {
    let listed = gateway.operators("/api/migrations").await.text();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let status = gateway.operators("/api/status").await.text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["migrations"], listed);
    listed
}

fn token(token: &str) -> String {
    format!("token = \"{token}\"")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_beside_a_migration_knows_how_it_has_ended() {
    let ends = Ends::new();
    let setup = ends.setup();
    let gateway = setup.start().await;
    assert_eq!(told(&gateway).await, json!([]));
    let output = setup
        .run(&["migrate", "--from", "old", "--to", "new"])
        .await;
    assert!(output.status.success(), "{output:?}");
    let told = told(&gateway).await;
    let only = &told[0];
    assert_eq!(only["from"], "old");
    assert_eq!(only["to"], "new");
    assert_eq!(only["phase"], "copying");
    assert_eq!(only["done_objects"], 5);
    assert_eq!(only["bytes"], 5000);
    assert_eq!(only["end"], "complete");
    assert_eq!(only["is_silent"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_is_told_of_each_share() {
    let ends = Ends::new();
    let far = ends.setup().admin(&token(TOKEN));
    let gateway = far.start().await;
    let url = format!("http://{}/", gateway.admin());
    let here = ends.setup().admin(&token(TOKEN));
    for shard in ["1/2", "2/2"] {
        let arguments = ["--shard", shard, "--progress-to", &url];
        let ends = ["migrate", "--from", "old", "--to", "new"];
        let output = here.run(&[&ends, &arguments[..]].concat()).await;
        assert!(output.status.success(), "{output:?}");
    }
    let told = told(&gateway).await;
    assert_eq!(told.as_array().unwrap().len(), 2);
    assert_eq!([&told[0]["shard"], &told[1]["shard"]], ["2/2", "1/2"]);
    let done = |one: &Value| one["done_objects"].as_u64().unwrap();
    assert_eq!(done(&told[0]) + done(&told[1]), 5, "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_token_tells_and_only_of_origins_that_there_are() {
    let ends = Ends::new();
    let gateway = ends.setup().admin(&token(TOKEN)).start().await;
    let tell = async |from: &str, token: &str| {
        let told = json!({
            "from": from, "to": "new", "phase": "copying", "target_objects": 0,
            "source_objects": 2, "planned_objects": 2, "planned_bytes": 2000, "done_objects": 2,
            "failed": 1, "bytes": 1000, "copying_seconds": 10, "end": "incomplete",
            "failures": [{"key": "media/1.bin", "why": "it breaks"}],
        });
        let url = format!("http://{}/api/migrations", gateway.admin());
        let request = gateway.client().post(url).bearer_auth(token);
        let request = request.header("content-type", "application/json");
        request
            .body(told.to_string())
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(tell("old", "something-else").await, 401);
    assert_eq!(tell("elsewhere", TOKEN).await, 400);
    assert_eq!(told(&gateway).await, json!([]));
    assert_eq!(tell("old", TOKEN).await, 200);
    let told = told(&gateway).await;
    assert_eq!(told[0]["failures"][0]["why"], "it breaks");
    assert_eq!(told[0]["bytes_per_second"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_nobody_hears_says_so_once_and_goes_on() {
    let ends = Ends::new();
    let far = ends.setup().admin(&token(TOKEN));
    let gateway = far.start().await;
    let url = format!("http://{}", gateway.admin());
    let here = ends
        .setup()
        .admin(&token("quite-another-token-of-this-length"));
    let arguments = ["migrate", "--from", "old", "--to", "new", "--progress-to"];
    let output = here.run(&[&arguments[..], &[&url]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("nobody hears").count(), 1, "{said}");
    assert!(
        said.contains("401") && !said.contains("another-token"),
        "{said}"
    );
    assert_eq!(told(&gateway).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn telling_needs_a_token_and_a_web_address_before_anything_is_copied() {
    let ends = Ends::new();
    let arguments = ["migrate", "--from", "old", "--to", "new", "--progress-to"];
    for (setup, url, why) in [
        (ends.setup(), "http://127.0.0.1:1", "admin.token"),
        (
            ends.setup().admin(&token(TOKEN)),
            "ftp://127.0.0.1",
            "http://",
        ),
    ] {
        let output = setup.run(&[&arguments[..], &[url]].concat()).await;
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(fs::read_dir(ends.0.path().join("new")).unwrap().count(), 1);
}
