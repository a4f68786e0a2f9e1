//! What each section tells, and that a key is only ever text.

use std::time::Duration;

use test_servers::faulty::Object;
use tokio::time::{Instant, sleep};

use super::browser::Browser;
use super::harness::{HOSTILE, Stage, TOKEN, escaped};
use crate::process::harness::PATIENCE;

/// Returns once the ledger has written down so many saves: within seconds.
async fn saves_are(stage: &Stage, keys: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = stage.gateway.operators("/api/status").await.text();
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        if status["origins"][1]["saves"]["keys"] == keys {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_looks_like_a_script_is_shown_and_not_run() {
    let stage = Stage::new().await;
    assert_eq!(stage.view(HOSTILE).await.0, 200);
    saves_are(&stage, 1).await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.clicks("#saves-old > summary").await;
    let saved = "return document.querySelector('#saves-old code').textContent";
    assert_eq!(browser.script(saved).await, HOSTILE);
    let scripts = "return [document.scripts.length, document.images.length]";
    assert_eq!(browser.script(scripts).await, serde_json::json!([1, 1]));
    let url = format!("https://media.example/{}", escaped(HOSTILE));
    browser.types("#explain-url", &url).await;
    browser.clicks("#explain button").await;
    let text = browser.shows("A viewer would get 200").await;
    assert!(text.contains(HOSTILE), "{text}");
    assert_eq!(browser.script(scripts).await, serde_json::json!([1, 1]));
    // Scripts that are typed into the address stay where they are, too.
    for path in [
        "/explain?url=",
        "/purge?target=",
        "/tombstone?target=",
        "/withdrawn?after=",
        "/?lang=",
    ] {
        browser
            .open(&stage.page(&format!(
                "{path}{}",
                escaped("\"><script>alert(1)</script>")
            )))
            .await;
        assert_eq!(
            browser.script(scripts).await,
            serde_json::json!([1, 1]),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_section_tells_what_has_happened() {
    let stage = Stage::new().await;
    for n in [1, 1, 2, 99] {
        stage.view(&format!("{n}.mp4")).await;
    }
    assert_eq!(stage.view("none.mp4").await.0, 404);
    saves_are(&stage, 1).await;
    stage.tell_of_a_migration().await;
    stage.audit().await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    let text = browser.text().await;
    for said in [
        "All origins answer.",
        "“old” rehearses its retirement. Requests that would have been lost: 1.",
        "“old” is being copied to “current”: 25 %, 30 s left.",
        "asked as no. 1",
        "rehearsal: asked last",
        "Keys that only it could give (1)",
        "old → current",
        "50 of 200",
        "25 kB/s",
        "Failures (1), the first ones",
        "“old” must not be switched off. Reasons: ",
        "What stands against it",
        "Route “media”",
        "The disk is used.",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // Japanese by what the browser reads, and by its own choice.
    browser.open(&stage.page("/?lang=ja")).await;
    let text = browser.text().await;
    assert!(
        text.contains("すべてのオリジンが応答しています。"),
        "{text}"
    );
    browser.clicks("a[hreflang=en]").await;
    browser.shows("All origins answer.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_has_deleted_is_listed_on_a_page_of_its_own() {
    let stage = Stage::new().await;
    stage.current.put(
        HOSTILE,
        Object::new(b"a film".to_vec()).content_type("video/mp4"),
    );
    for n in 0..2 {
        assert_eq!(stage.view(HOSTILE).await.0, 200);
        let purged = stage.setup.run(&["purge", "--all", "--yes"]).await;
        assert!(purged.status.success(), "{purged:?}");
        if n == 0 {
            stage.current.remove(HOSTILE);
        }
    }
    let browser = Browser::start().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        browser.open(&stage.page("/withdrawn")).await;
        let key = "return document.querySelector('main td code')?.textContent ?? null";
        if browser.script(key).await == HOSTILE {
            break;
        }
        assert!(Instant::now() < deadline, "{}", browser.text().await);
    }
    assert_eq!(browser.script("return document.scripts.length").await, 1);
    browser.open(&stage.page("/")).await;
    browser.shows("1 noticed since the start").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_script_everything_can_be_read_and_done() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    assert_eq!(stage.view("1.mp4").await.1, "HIT");
    let browser = Browser::start().await;
    browser.without_script().await;
    browser.open(&stage.page("/")).await;
    let text = browser.text().await;
    assert!(text.contains("All origins answer."), "{text}");
    assert!(
        text.contains("This page loads itself again every 30 seconds."),
        "{text}"
    );
    let source = browser.source().await;
    assert!(
        source.contains("<meta http-equiv=\"refresh\" content=\"30\">"),
        "{source}"
    );
    browser.types("#purge-target", "1.mp4").await;
    browser.clicks("form[action='/purge'] button").await;
    browser.types("#token", TOKEN).await;
    browser.clicks("button.danger").await;
    browser.shows("Objects dropped: 1 (").await;
    assert_eq!(stage.view("1.mp4").await.1, "MISS");
    browser
        .open(&stage.page("/explain?url=http://127.0.0.1/1.mp4"))
        .await;
    let text = browser.text().await;
    assert!(text.contains("A viewer would get 200"), "{text}");
}
