//! What is secret stays so: in logs at their most talkative, errors, metrics, answers, commands.
//!
//! Every way in which an origin can fail is gone through, because each has a message of its own.

use std::fmt::Write as _;
use std::fs;
use std::process::Output;
use std::time::Duration;

use test_servers::faulty::{BUCKET, Fault, Faulty, On, Reply};
use tokio::time::timeout;

use super::harness::{PATIENCE, Setup, route, web};

const KEY_ID: &str = "AKIACANARYKEYID00001";
const KEY: &str = "canary/secret+key=000000000000000000002";
const KEY_IN_FILE: &str = "canary-secret-key-from-a-file-00003";
const TOKEN: &str = "canary-token-0000000000000000000004";

/// Each befalls the keys below a prefix of its own.
fn failures() -> Vec<(&'static str, Fault)> {
    // As providers answer a wrong key: with what was signed, and with what.
    let told = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId>\
         <SignatureProvided>{KEY}</SignatureProvided><StringToSign>{KEY_ID}</StringToSign></Error>"
    );
    vec![
        (
            "told",
            Fault::Answer(Reply::new(403).body("application/xml", told)),
        ),
        ("key", Fault::invalid_access_key()),
        ("denied", Fault::access_denied()),
        ("bucket", Fault::no_such_bucket()),
        ("slow", Fault::slow_down(1)),
        ("cap", Fault::download_cap_exceeded()),
        ("hang", Fault::Hang),
        ("drop", Fault::Drop),
        ("reset", Fault::Reset),
        ("html", Fault::html(200)),
        ("garbage", Fault::Garbage("nonsense\r\n\r\n".into())),
        ("redirect", Fault::redirect(301, "http://169.254.169.254/")),
        ("length", Fault::WrongLength(10)),
        ("cut", Fault::CutAfter(10)),
        ("headers", Fault::huge_headers(200_000)),
    ]
}

fn origin(name: &str, server: &Faulty, secret: &str) -> String {
    format!(
        "[origins.{name}]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\n\
         access_key_id = \"{KEY_ID}\"\n{secret}\nfirst_byte_timeout = \"300ms\"\n",
        server.endpoint()
    )
}

fn keep(heap: &mut String, output: &Output) {
    heap.push_str(&String::from_utf8_lossy(&output.stdout));
    heap.push_str(&String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn holds_no_secret(heap: &str, what: &str) {
    for secret in [KEY_ID, KEY, KEY_IN_FILE, TOKEN, "X-Amz-", "Signature="] {
        if let Some(at) = heap.find(secret) {
            let line = heap[..at].matches('\n').count();
            let text = heap.lines().nth(line).unwrap_or_default();
            panic!("{what} tells {secret}: {text}");
        }
    }
}

#[tokio::test]
async fn no_secret_gets_out_whatever_fails() {
    let (first, second) = (Faulty::start().await, Faulty::start().await);
    first.put("fine/a.webp", vec![1; 1000]);
    for (prefix, fault) in failures() {
        first.put(&format!("{prefix}/a.webp"), vec![1; 1000]);
        for server in [&first, &second] {
            server.fault(On::prefix(&format!("{prefix}/")), fault.clone());
        }
    }
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("secret");
    fs::write(&file, KEY_IN_FILE).unwrap();
    let origins = origin("inline", &first, &format!("secret_access_key = {KEY:?}"))
        + &origin(
            "file",
            &second,
            &format!("secret_access_key_file = {file:?}"),
        )
        + &web("down", "http://127.0.0.1:1/")
        + "connect_timeout = \"300ms\"\n";
    let setup = Setup::new(origins + &route(&["inline", "file", "down"]))
        .admin(&format!("token = {TOKEN:?}"))
        .tracing();
    let mut gateway = setup.start().await;
    let mut heap = String::new();
    let prefixes = failures().into_iter().map(|(prefix, _)| prefix);
    for prefix in prefixes.chain(["fine", "absent"]) {
        let path = format!("/{prefix}/a.webp");
        if let Ok(response) = gateway.ask(&path).await {
            let _ = writeln!(heap, "{:?}", response.headers());
            // Some are cut; then what came does not matter.
            heap.push_str(&response.text().await.unwrap_or_default());
        }
        let url = gateway.url(&path);
        keep(&mut heap, &setup.run(&["explain", &url]).await);
        for path in ["/api/explain", "/explain"] {
            let told = gateway.operators(&format!("{path}?url={url}")).await;
            let _ = writeln!(heap, "{:?}\n{}", told.headers, told.text());
        }
    }
    keep(&mut heap, &setup.run(&["check"]).await);
    keep(&mut heap, &setup.run(&["check", "--json"]).await);
    keep(
        &mut heap,
        &setup.run(&["check", "--offline", "--json"]).await,
    );
    let paths = ["/metrics", "/api/status", "/healthz", "/readyz"];
    for path in paths
        .into_iter()
        .chain(["/", "/?lang=ja", "/purge?target=a"])
    {
        let told = gateway.operators(path).await;
        assert_eq!(told.status, 200, "{path}");
        let _ = writeln!(heap, "{:?}\n{}", told.headers, told.text());
    }
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await;
    heap.push_str(&gateway.log());
    holds_no_secret(&heap, "the program");
    // It did sign, and the signatures themselves did not get out in another form either.
    let signed: Vec<_> = [&first, &second]
        .into_iter()
        .flat_map(Faulty::requests)
        .filter_map(|request| request.parameter("X-Amz-Signature"))
        .collect();
    assert!(signed.len() > 20, "{}", signed.len());
    for signature in signed {
        assert!(!heap.contains(&signature), "a signature got out");
    }
    for told in ["InvalidAccessKeyId", "403", "timeout"] {
        assert!(heap.contains(told), "the failures were not told: {told}");
    }
}

#[tokio::test]
async fn a_refused_configuration_does_not_tell_its_secrets() {
    let server = Faulty::start().await;
    let fine = origin("only", &server, &format!("secret_access_key = {KEY:?}")) + &route(&["only"]);
    let endpoint = format!("endpoint = \"{}\"", server.endpoint());
    for (from, to) in [
        // A misspelt key, a missing half, a wrong kind of value, a broken line, a URL with a
        // password.
        ("secret_access_key", "secret_acces_key"),
        ("access_key_id =", "# "),
        ("secret_access_key = \"", "secret_access_key = [\""),
        ("secret_access_key = ", "secret_access_key "),
        (
            &*endpoint,
            &*format!("endpoint = \"http://user:{TOKEN}@s3.example.com\""),
        ),
    ] {
        assert!(fine.contains(from), "{from}");
        let text = match from {
            "secret_access_key = \"" => fine.replace(&format!("{KEY:?}"), &format!("[{KEY:?}]")),
            _ => fine.replacen(from, to, 1),
        };
        let setup = Setup::new(text);
        let said = setup.refused().await;
        holds_no_secret(&said, &format!("{to:?} as text"));
        let json = setup.run(&["check", "--offline", "--json"]).await;
        assert_eq!(json.status.code(), Some(1));
        holds_no_secret(
            &String::from_utf8_lossy(&json.stdout),
            &format!("{to:?} as JSON"),
        );
    }
}

#[tokio::test]
async fn no_secret_gets_out_when_a_write_is_refused() {
    let (old, new) = (Faulty::start().await, Faulty::start().await);
    new.writable(true);
    let refusals = ["told", "key", "denied", "bucket", "cap", "redirect"];
    let mut urls = String::new();
    for (prefix, fault) in failures() {
        if refusals.contains(&prefix) {
            old.put(&format!("{prefix}/a.webp"), vec![1; 1000]);
            let writes = On::prefix(&format!("{prefix}/"));
            new.fault(writes.and(|request| request.method != "GET"), fault);
            let _ = writeln!(urls, "{prefix}/a.webp");
        }
    }
    let target = origin("new", &new, &format!("secret_access_key = {KEY:?}"));
    let promoting = "[[routes]]\nurl = \"/\"\nkeys = [\"\"]\norigins = [\"new\", \"old\"]\n\
                     promote_to = \"new\"\nuploads_to = \"old\"\n";
    let kept = web("old", &old.base_url()).replace("cache = \"none\"\n", "");
    let setup = Setup::new(target + &kept + promoting).tracing();
    let keys = setup.path("keys.txt");
    fs::write(&keys, urls).unwrap();
    let mut gateway = setup.start().await;
    for prefix in refusals {
        let answer = gateway.get(&format!("/{prefix}/a.webp")).await;
        assert_eq!(answer.status, 200, "{}", gateway.log());
    }
    let failed = format!(
        "promotions_total{{origin=\"new\",result=\"failed\"}} {}",
        refusals.len()
    );
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let all_failed = timeout(PATIENCE, async {
        while !gateway.operators("/metrics").await.text().contains(&failed) {
            looks.tick().await;
        }
    });
    all_failed.await.expect("each copy is refused");
    let mut heap = String::new();
    let keys = keys.to_str().unwrap();
    let migrate = ["migrate", "--from", "old", "--to", "new", "--keys", keys];
    for arguments in [
        &migrate[..],
        &[&migrate[..], &["--json"]].concat(),
        &["tombstone", "add", "--erase", "--from", keys],
    ] {
        let output = setup.run(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        keep(&mut heap, &output);
    }
    gateway.signal(rustix::process::Signal::TERM);
    gateway.ended().await;
    heap.push_str(&gateway.log());
    holds_no_secret(&heap, "the program");
    let requests = new.requests();
    let writes = requests.iter().filter(|request| request.method != "GET");
    let signed: Vec<_> = writes
        .filter_map(|request| request.parameter("X-Amz-Signature"))
        .collect();
    assert!(signed.len() >= 2 * refusals.len(), "{}", signed.len());
    for signature in signed {
        assert!(!heap.contains(&signature), "a signature got out");
    }
    assert!(heap.contains("could not be promoted"), "{heap}");
}
