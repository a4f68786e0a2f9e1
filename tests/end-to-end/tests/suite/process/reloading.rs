//! A configuration that changes while everybody asks: nobody notices, and what is wrong with it
//! changes nothing.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use test_servers::faulty::{Fault, Faulty, Gate, On};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::harness::{Gateway, PATIENCE, Setup, directory, route, web};

const TOKEN: &str = "token-of-this-test";

/// Viewers that ask without a pause for keys that are always to be had.
struct Viewers {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Viewers {
    fn of(gateway: &Gateway, count: usize, keys: &[&str]) -> Self {
        let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let all = TaskTracker::new();
        let viewer = |n: usize| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            let urls: Vec<_> = keys.iter().map(|key| gateway.url(key)).collect();
            let client = gateway.client().clone();
            all.spawn(async move { watch(&client, &urls, n, &over, &answered).await })
        };
        let tasks = (0..count).map(viewer).collect();
        Self {
            over,
            answered,
            tasks,
        }
    }

    /// Returns when so many more have been answered.
    async fn have_seen(&self, more: usize) {
        let until = self.answered.load(Ordering::SeqCst) + more;
        let patience = PATIENCE * 4;
        let seen = timeout(patience, async {
            while self.answered.load(Ordering::SeqCst) < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        seen.await.expect("viewers are answered");
    }

    /// How many were answered, all of them well.
    async fn all_saw_everything(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        let failures: Vec<_> = join_all(self.tasks).await;
        let failures: Vec<_> = failures.into_iter().flat_map(Result::unwrap).collect();
        assert!(failures.is_empty(), "{}: {failures:?}", failures.len());
        self.answered.load(Ordering::SeqCst)
    }
}

async fn watch(
    client: &reqwest::Client,
    urls: &[String],
    first: usize,
    over: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<String> {
    let mut failures = Vec::new();
    for url in urls.iter().cycle().skip(first) {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let seen = match client.get(url).send().await {
            Ok(response) if response.status() == 200 => response.bytes().await.map(|_| 200),
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(error),
        };
        match seen {
            Ok(200) => {}
            Ok(status) => failures.push(format!("{url}: {status}")),
            Err(error) => failures.push(format!("{url}: {error}")),
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
    failures
}

fn old_is(state: &str, current: &Faulty, old: &Faulty) -> String {
    web("current", &current.base_url())
        + &web("old", &old.base_url())
        + &format!("state = \"{state}\"\n")
        + &route(&["current", "old"])
}

async fn reloads(setup: &Setup) -> Value {
    setup.json(&["reload", "--json"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_rehearses_and_is_retired_by_reloads_and_no_viewer_notices() {
    let (current, old) = (Faulty::start().await, Faulty::start().await);
    current.put("new.webp", vec![1; 3000]);
    old.put("old.webp", vec![2; 3000]);
    let setup = Setup::new(old_is("active", &current, &old));
    let mut gateway = setup.start().await;
    let viewers = Viewers::of(&gateway, 8, &["/new.webp", "/old.webp"]);
    viewers.have_seen(100).await;

    let setup = setup.with_others(old_is("rehearsal", &current, &old));
    assert_eq!(
        reloads(&setup).await["changed"],
        json!(["origins.old: rehearsal instead of active"])
    );
    viewers.have_seen(100).await;
    let metrics = gateway.operators("/metrics").await.text();
    let saves = "media_gateway_rehearsal_saves_total{origin=\"old\",reason=\"missing\"} ";
    let saves = metrics.lines().find_map(|line| line.strip_prefix(saves));
    assert!(saves.unwrap().parse::<u64>().unwrap() > 0);

    current.put("old.webp", vec![2; 3000]);
    viewers.have_seen(100).await;
    let setup = setup.with_others(old_is("retired", &current, &old));
    // It writes the configuration; the signal is what is tried here.
    setup.json(&["check", "--offline", "--json"]).await;
    gateway.signal(Signal::HUP);
    gateway.logged("origins.old: retired").await;
    let asked = old.requests().len();
    viewers.have_seen(300).await;
    assert_eq!(old.requests().len(), asked, "it was asked once retired");
    let metrics = gateway.operators("/metrics").await.text();
    assert!(!metrics.contains("media_gateway_origin_up{origin=\"old\"}"));
    assert_eq!(gateway.get("/absent.webp").await.status, 404);
    assert_eq!(old.requests().len(), asked);

    // And back, because something was forgotten there.
    old.put("forgotten.webp", "it");
    let setup = setup.with_others(old_is("active", &current, &old));
    reloads(&setup).await;
    assert_eq!(gateway.get("/forgotten.webp").await.status, 200);
    viewers.all_saw_everything().await;
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_configuration_changes_a_hundred_times() {
    let (current, old) = (Faulty::start().await, Faulty::start().await);
    for key in ["a.webp", "b.webp"] {
        current.put(key, vec![1; 2000]);
        old.put(key, vec![1; 2000]);
    }
    let states = ["rehearsal", "retired", "active"];
    // A million requests take minutes, and are more of the same.
    let requests = match std::env::var_os("MEDIA_GATEWAY_SOAK") {
        Some(_) => 1_000_000,
        None => 10_000,
    };
    let reloads_in_all = 100;
    let cached = |text: String| text.replace("cache = \"none\"\n", "");
    let mut setup = Setup::new(cached(old_is("active", &current, &old)));
    let gateway = setup.start().await;
    let viewers = Viewers::of(&gateway, 16, &["/a.webp", "/b.webp"]);
    let client = gateway.client().clone();
    let url = format!("http://{}/api/reload", gateway.admin());
    let admin = format!("token = {TOKEN:?}");
    setup = setup.admin(&admin);
    reloads(&setup).await;
    for n in 1..reloads_in_all {
        let others = old_is(states[n % 3], &current, &old);
        // Nothing is kept by every other one, so that all of them ask the origins.
        let others = if n % 2 == 0 { others } else { cached(others) };
        setup = setup.with_others(others.replace("[[routes]]", "[[routes]]\nname = \"media\""));
        setup.written();
        let asked = client.post(&url).bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(asked.status(), 200, "{}", asked.text().await.unwrap());
        viewers.have_seen(requests / reloads_in_all).await;
    }
    let answered = viewers.all_saw_everything().await;
    println!("{answered} requests and {reloads_in_all} reloads, none failed");
    assert!(answered >= requests * 9 / 10);
    let metrics = gateway.operators("/metrics").await.text();
    assert!(metrics.contains("media_gateway_config_reloads_total{result=\"refused\"} 0"));
}

/// Each is wrong in a way of its own.
fn bad_configurations(current: &Faulty, old: &Faulty) -> Vec<String> {
    let good = old_is("active", current, old);
    let swaps = [
        ("kind = \"http\"", "kind = \"ftp\""),
        ("url = \"http://", "url = \"ftp://"),
        ("url = \"http://", "uri = \"http://"),
        ("state = \"active\"", "state = \"asleep\""),
        ("state = \"active\"", "first_byte_timeout = \"0s\""),
        ("state = \"active\"", "hedge_after = \"soon\""),
        ("state = \"active\"", "max_requests = \"0/s\""),
        ("state = \"active\"", "max_concurrency = 0"),
        ("state = \"active\"", "canary = []"),
        (
            "state = \"active\"",
            "secret_access_key_file = \"./absent\"",
        ),
        ("[origins.old]", "[origins.Old]"),
        ("[origins.old]", "[origins.old"),
        ("[origins.old]", "[origins.current]"),
        ("[[routes]]", "[[route]]"),
        ("[[routes]]", "[[routes]]\npromote_to = \"nobody\""),
        ("origins = [\"current\", \"old\"]", "origins = []"),
        ("origins = [\"current\", \"old\"]", "origins = [\"nobody\"]"),
        ("[[routes]]\nurl = \"/\"", "[[routes]]\nurl = \"nonsense\""),
        ("[[routes]]\nurl = \"/\"", "[[routes]]"),
    ];
    let bad = swaps.iter().map(|(from, to)| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        bad
    });
    bad.chain([String::new()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_bad_configurations_under_load_change_nothing_and_are_explained() {
    let (current, old) = (Faulty::start().await, Faulty::start().await);
    current.put("a.webp", vec![1; 2000]);
    let good = old_is("active", &current, &old);
    let mut setup = Setup::new(good.clone()).admin(&format!("token = {TOKEN:?}"));
    let mut gateway = setup.start().await;
    let viewers = Viewers::of(&gateway, 4, &["/a.webp"]);
    let url = format!("http://{}/api/reload", gateway.admin());
    let bad = bad_configurations(&current, &old);
    assert_eq!(bad.len(), 20);
    for text in bad {
        setup = setup.with_others(text.clone());
        setup.written();
        let asked = gateway.client().post(&url).bearer_auth(TOKEN).send();
        let asked = asked.await.unwrap();
        assert_eq!(asked.status(), 422, "{text}");
        let told: Value = serde_json::from_slice(&asked.bytes().await.unwrap()).unwrap();
        let first = &told["problems"][0];
        assert!(
            first["reason"].is_string() && first["remedy"].is_string(),
            "{told}"
        );
        viewers.have_seen(20).await;
    }
    let output = setup.run(&["reload"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("remedy:"), "{said}");
    gateway.signal(Signal::HUP);
    gateway.logged("\"by\":\"SIGHUP\"").await;
    viewers.all_saw_everything().await;
    let metrics = gateway.operators("/metrics").await.text();
    assert!(metrics.contains("media_gateway_config_reloads_total{result=\"applied\"} 0"));
    let setup = setup.with_others(good);
    assert_eq!(reloads(&setup).await["changed"], json!([]));
}

#[tokio::test]
async fn only_who_has_the_token_has_it_reload() {
    let current = Faulty::start().await;
    let setup = Setup::new(web("current", &current.base_url()) + &route(&["current"]));
    let setup = setup.admin(&format!("token = {TOKEN:?}"));
    let gateway = setup.start().await;
    let url = format!("http://{}/api/reload", gateway.admin());
    let ask = || gateway.client().post(&url);
    assert_eq!(ask().send().await.unwrap().status(), 401);
    let wrong = ask().bearer_auth("wrong").send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    let elsewhere = ask()
        .bearer_auth(TOKEN)
        .header("origin", "https://evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
    let right = ask().bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(right.status(), 200);
}

#[tokio::test]
async fn what_only_a_restart_can_change_is_named_and_the_rest_holds() {
    let current = Faulty::start().await;
    current.put("a.webp", "a");
    let one = web("current", &current.base_url()) + &route(&["current"]);
    let setup = Setup::new(one.clone());
    let mut gateway = setup.start().await;
    let other = one.replace("keys = [\"\"]", "keys = [\"b/\"]");
    let setup = setup
        .with_others(other)
        .server("listen = \"127.0.0.1:1\"")
        .cache("memory = \"32 MB\"");
    let told = reloads(&setup).await;
    assert_eq!(
        told["needs_restart"],
        json!(["server.listen", "cache.memory"])
    );
    assert_eq!(told["changed"], json!(["route media: changed"]));
    assert_eq!(gateway.get("/a.webp").await.status, 403);
    gateway.logged("hold from the next start on").await;
}

#[tokio::test]
async fn files_of_secrets_are_read_again_when_they_change() {
    let current = Faulty::start().await;
    let secrets = tempfile::tempdir().unwrap();
    let at = |name: &str| secrets.path().join(name);
    // As Kubernetes mounts it: a link to the directory of the moment.
    for (version, token) in [("1", "first-token"), ("2", "second-token")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("token"), token).unwrap();
    }
    std::os::unix::fs::symlink("1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/token", at("token")).unwrap();
    let setup = Setup::new(web("current", &current.base_url()) + &route(&["current"]))
        .admin(&format!("token_file = {:?}", at("token")));
    let mut gateway = setup.start().await;
    let url = format!("http://{}/api/reload", gateway.admin());
    let status = async |token: &str| {
        let asked = gateway.client().post(&url).bearer_auth(token).send();
        asked.await.unwrap().status().as_u16()
    };
    assert_eq!(status("first-token").await, 200);
    std::os::unix::fs::symlink("2", at("..new")).unwrap();
    fs::rename(at("..new"), at("..data")).unwrap();
    gateway.logged("\"changed\":\"admin.token\"").await;
    let log = gateway.log();
    assert!(log.contains("a change of its files"), "{log}");
    assert!(!log.contains("second-token"), "{log}");
    let status = async |token: &str| {
        let asked = gateway.client().post(&url).bearer_auth(token).send();
        asked.await.unwrap().status().as_u16()
    };
    assert_eq!(status("first-token").await, 401);
    assert_eq!(status("second-token").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_retired_origin_may_end_within_the_drain_time_and_no_later() {
    let (current, old) = (Faulty::start().await, Faulty::start().await);
    let body: Vec<u8> = (0..500_000u32).flat_map(u32::to_le_bytes).collect();
    let (opens, stays) = (Gate::new(), Gate::new());
    for (key, gate) in [("ends.bin", &opens), ("hangs.bin", &stays)] {
        old.put(key, body.clone());
        old.fault(On::key(key), Fault::HoldAfter(100_000, gate.clone()));
    }
    let setup = Setup::new(old_is("active", &current, &old)).server("drain = \"3s\"");
    let mut gateway = setup.start().await;
    let ends = gateway.ask("/ends.bin").await.unwrap();
    let hangs = gateway.ask("/hangs.bin").await.unwrap();
    let setup = setup.with_others(old_is("retired", &current, &old));
    reloads(&setup).await;
    gateway.logged("origins.old: retired").await;
    opens.open();
    assert_eq!(ends.bytes().await.unwrap(), body);
    let cut = timeout(PATIENCE, hangs.bytes()).await.expect("it ends");
    assert!(cut.is_err(), "a body that was cut must not look whole");
    stays.open();
}

#[tokio::test]
async fn a_name_that_means_another_place_withdraws_nothing() {
    let (first, second, old) = (
        Faulty::start().await,
        Faulty::start().await,
        Faulty::start().await,
    );
    first.put("a.webp", "a");
    old.put("a.webp", "a");
    let places = |current: &Faulty| old_is("active", current, &old);
    let setup = Setup::new(places(&first));
    let gateway = setup.start().await;
    assert_eq!(gateway.get("/a.webp").await.headers["x-origin"], "current");
    let setup = setup.with_others(places(&second));
    reloads(&setup).await;
    assert_eq!(gateway.get("/a.webp").await.headers["x-origin"], "old");
    let metrics = gateway.operators("/metrics").await.text();
    assert!(
        metrics.contains("media_gateway_withdrawn_total{route=\"media\"} 0"),
        "{metrics}"
    );
    let asked = first.requests().len();
    assert_eq!(gateway.get("/absent.webp").await.status, 404);
    assert_eq!(
        first.requests().len(),
        asked,
        "it is not the origin any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_goes_on_through_reloads_and_its_copies_are_known_afterwards() {
    let (old, gate, keys) = (Faulty::start().await, Gate::new(), ["a.bin", "b.bin"]);
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name);
    fs::create_dir(at("new")).unwrap();
    fs::write(at("new/.media-gateway"), b"").unwrap();
    fs::write(at("keys"), keys.join("\n")).unwrap();
    for key in keys {
        old.put(key, vec![1; 300_000]);
        old.fault(On::key(key), Fault::HoldAfter(100_000, gate.clone()));
    }
    let new = directory("new", &at("new"));
    let new = new.replace("marker = \"\"", "writable = true\nmin_free = \"1 MB\"");
    let old_is = |state: &str| {
        let old = web("old", &old.base_url()) + &format!("state = \"{state}\"\n");
        old + &new + &route(&["new", "old"])
    };
    let setup = Setup::new(old_is("active"));
    let mut gateway = setup.start().await;
    let changes = async {
        let copies = async {
            while old.body_bytes_sent() < 100_000 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, copies).await.expect("it copies");
        let file = setup.path("gateway.toml");
        for state in ["active", "rehearsal", "active"].windows(2) {
            let text = fs::read_to_string(&file).unwrap();
            let states = [state[0], state[1]].map(|state| format!("state = \"{state}\""));
            fs::write(&file, text.replace(&states[0], &states[1])).unwrap();
            gateway.signal(Signal::HUP);
            let change = format!("origins.old: {} instead of {}", state[1], state[0]);
            gateway.logged(&change).await;
        }
        gate.open();
    };
    let keys_file = at("keys");
    let arguments = ["migrate", "--from", "old", "--to", "new", "--keys"];
    let arguments = [&arguments[..], &[keys_file.to_str().unwrap()]].concat();
    let (output, ()) = tokio::join!(setup.run(&arguments), changes);
    assert!(output.status.success(), "{output:?}");
    let status = gateway.operators("/api/status").await.text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["migrations"][0]["end"], "complete", "{status}");

    let exported = setup.run(&["state", "export", "-"]).await;
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert_eq!(exported.matches("\"by\":\"migration\"").count(), 2);

    let setup = setup.with_others(old_is("retired"));
    reloads(&setup).await;
    for key in keys {
        assert_eq!(
            gateway.get(&format!("/{key}")).await.headers["x-origin"],
            "new"
        );
    }
}
