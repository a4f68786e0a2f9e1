//! The commands beside `serve`: what they say, how they exit, and that they agree with what is
//! served.

use std::fs;

use test_servers::faulty::{BUCKET, Fault, Faulty, On};

use super::harness::{Setup, directory, route, web};

#[tokio::test]
async fn explain_agrees_with_what_is_served() {
    let first = Faulty::start().await;
    first.fault(On::key("trouble.webp"), Fault::s3(500, "InternalError"));
    first.fault(On::key("saved.webp"), Fault::Drop);
    first.put("first.webp", "1");
    let second = Faulty::start().await;
    for key in ["first.webp", "second.webp", "saved.webp", "写真 1.webp"] {
        second.put(key, "2");
    }
    let routes = route(&["first", "second"]).replace("[\"\"]", "[\"\", \"x/\"]");
    let setup =
        Setup::new(web("first", &first.base_url()) + &web("second", &second.base_url()) + &routes);
    let gateway = setup.start().await;
    for (path, status, verdicts) in [
        ("/first.webp", 200, ["found", "found"]),
        ("/second.webp", 200, ["missing", "found"]),
        ("/saved.webp", 200, ["unknown", "found"]),
        ("/%E5%86%99%E7%9C%9F%201.webp", 200, ["missing", "found"]),
        ("/absent.webp", 404, ["missing", "missing"]),
        ("/trouble.webp", 503, ["unknown", "missing"]),
        ("/a%00b", 400, ["", ""]),
    ] {
        let served = gateway.get(path).await.status;
        let url = gateway.url(path);
        let said = setup.json(&["explain", "--json", &url]).await;
        let api = format!("/api/explain?url={}", encoded(&url));
        let api = gateway.operators(&api).await;
        let api: serde_json::Value = serde_json::from_slice(&api.body).unwrap();
        let human = setup.run(&["explain", &url]).await;
        assert_eq!(human.status.code(), Some(0), "{human:?}");
        let human = String::from_utf8(human.stdout).unwrap();
        assert_eq!(served, status, "{path}: {}", gateway.log());
        assert_eq!(said["status"], status, "{path}: {said}");
        assert_eq!(api["status"], status, "{path}: {api}");
        assert!(human.contains(&format!("answer  {status}")), "{human}");
        for (position, verdict) in verdicts.into_iter().enumerate() {
            if !verdict.is_empty() {
                assert_eq!(said["origins"][position]["verdict"], verdict, "{said}");
                assert_eq!(api["origins"][position]["verdict"], verdict, "{api}");
            }
        }
    }
}

#[tokio::test]
async fn explain_knows_what_no_route_serves_and_what_is_not_published() {
    let routes = "[[routes]]\nurl = \"http://media.example/\"\nkeys = [\"misskey/\"]\n\
                  origins = [\"only\"]\n";
    let setup = Setup::new(web("only", "http://127.0.0.1:1/") + routes);
    for (url, status) in [
        ("http://other.example/misskey/a.webp", 421),
        ("http://media.example/backups/dump.sql", 403),
        ("http://media.example/misskey/../backups/dump.sql", 400),
        ("http://media.example/misskey/a.webp", 503),
    ] {
        let said = setup.json(&["explain", "--json", url]).await;
        assert_eq!(said["status"], status, "{url}: {said}");
    }
    let output = setup.run(&["explain", "no url"]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[tokio::test]
async fn health_says_whether_a_gateway_runs() {
    let setup = Setup::new(web("only", "http://127.0.0.1:1/") + &route(&["only"]));
    assert_eq!(setup.run(&["health"]).await.status.code(), Some(1));
    let gateway = setup.start().await;
    assert_eq!(setup.run(&["health"]).await.status.code(), Some(0));
    let said = setup.json(&["health", "--json"]).await;
    assert_eq!(said["ok"], true, "{said}");
    gateway.stopped().await;
    assert_eq!(setup.run(&["health"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn check_passes_what_can_be_served_and_fails_what_cannot() {
    let origin = Faulty::start().await;
    origin.put("a.webp", "1");
    let setup = Setup::new(web("only", &origin.base_url()) + &route(&["only"]));
    let fine = setup.run(&["check"]).await;
    assert_eq!(fine.status.code(), Some(0), "{fine:?}");
    origin.stop().await;
    let down = setup.run(&["check"]).await;
    assert_eq!(down.status.code(), Some(1), "{down:?}");
    assert!(
        String::from_utf8_lossy(&down.stdout).contains("only"),
        "{down:?}"
    );
    let offline = setup.run(&["check", "--offline"]).await;
    assert_eq!(offline.status.code(), Some(0), "{offline:?}");
    let wrong = Setup::new(web("only", "no url") + &route(&["only"]));
    let wrong = wrong.run(&["check", "--offline"]).await;
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
}

#[tokio::test]
async fn a_directory_is_believed_once_it_is_marked_and_no_more_when_it_is_unmounted() {
    let media = tempfile::tempdir().unwrap();
    let root = media.path().join("media");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a.webp"), "picture").unwrap();
    let origin = directory("disk", &root).replace("marker = \"\"\n", "");
    let setup = Setup::new(origin + &route(&["disk"]));
    let gateway = setup.start().await;
    assert_eq!(gateway.get("/absent.webp").await.status, 503);
    let said = setup.run(&["origin", "init", "disk"]).await;
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("Is that the disk"));
    assert_eq!(gateway.get("/a.webp").await.text(), "picture");
    assert_eq!(gateway.get("/absent.webp").await.status, 404);
    assert_eq!(gateway.get("/.media-gateway").await.status, 403);
    let unknown = setup.run(&["origin", "init", "disc"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    // As an unmount leaves it: the same directory, empty.
    fs::rename(&root, media.path().join("elsewhere")).unwrap();
    fs::create_dir(&root).unwrap();
    for path in ["/a.webp", "/absent.webp"] {
        assert_eq!(gateway.get(path).await.status, 503, "{path}");
    }
    fs::remove_dir(&root).unwrap();
    assert_eq!(gateway.get("/a.webp").await.status, 503);
    fs::rename(media.path().join("elsewhere"), &root).unwrap();
    assert_eq!(gateway.get("/a.webp").await.text(), "picture");
}

#[tokio::test]
async fn an_emptied_bucket_does_not_become_404s_after_a_kill() {
    let origin = Faulty::start().await;
    for n in 0..4 {
        origin.put(&format!("{n}.webp"), "picture");
    }
    let setup = Setup::new(format!(
        "[origins.only]\nkind = \"s3\"\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\n\
         cache = \"none\"\n{}",
        origin.endpoint(),
        route(&["only"])
    ));
    let gateway = setup.start().await;
    for n in 0..4 {
        assert_eq!(gateway.get(&format!("/{n}.webp")).await.status, 200);
    }
    assert_eq!(gateway.get("/absent.webp").await.status, 404);
    gateway.stopped().await;
    let killed = setup.start().await;
    assert_eq!(killed.get("/absent.webp").await.status, 404);
    drop(killed);
    origin.empty();
    let gateway = setup.start().await;
    for path in ["/absent.webp", "/0.webp"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {}", gateway.log());
    }
    let url = gateway.url("/absent.webp");
    let told = setup.json(&["explain", "--json", &url]).await;
    assert_eq!(told["status"], 503, "{told}");
    let api = format!("/api/explain?url={}", encoded(&url));
    let told = gateway.operators(&api).await.text();
    assert!(told.contains("\"status\":503"), "{told}");
    let status = gateway.operators("/api/status").await.text();
    assert!(status.contains("\"suspect\":true"), "{status}");
}

fn encoded(url: &str) -> String {
    percent_encoding::utf8_percent_encode(url, percent_encoding::NON_ALPHANUMERIC).to_string()
}
