//! What happens while somebody looks.

use std::time::{Duration, Instant};

use super::browser::Browser;
use super::harness::Stage;

/// A beat, a failure that is noticed by the fifth request, and some room.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_killed_turns_red_while_the_page_is_open_and_green_when_it_is_back() {
    let stage = Stage::new().await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.shows("live").await;
    let viewers = stage.viewers(4);
    browser.shows("All origins answer.").await;
    stage.current.stop().await;
    let began = Instant::now();
    browser
        .shows("“current” does not answer: no connection.")
        .await;
    let seen = began.elapsed();
    println!("seen after {seen:?}");
    assert!(seen < SOON, "{seen:?}");
    let red = "const card = document.querySelector('.card.bad'); \
               return [card.querySelector('h3').textContent, \
               getComputedStyle(document.querySelector('.headline')).backgroundColor]";
    let red = browser.script(red).await;
    assert_eq!(red[0], "current");
    assert_eq!(red[1], "rgb(251, 234, 232)");
    // Said to those who listen, once.
    let told = "return document.getElementById('told').textContent";
    let told = browser.script(told).await;
    assert!(told.as_str().unwrap().contains("does not answer"), "{told}");
    browser.photographs("killed").await;
    stage.current.restart();
    browser.shows("All origins answer.").await;
    drop(viewers);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_works_in_is_not_taken_away_from_under_them() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.shows("live").await;
    browser.clicks("#saves-old > summary").await;
    browser
        .script("window.mine = document.getElementById('saves-old')")
        .await;
    browser
        .script("window.other = document.querySelector('[data-part=cache] dl')")
        .await;
    let viewers = stage.viewers(4);
    let is_new = "return !document.body.contains(window.other)";
    while browser.script(is_new).await != true {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mine = "return [document.body.contains(window.mine), window.mine.open]";
    assert_eq!(browser.script(mine).await, serde_json::json!([true, true]));
    // Left alone, it is renewed as it was: unfolded.
    browser.script("document.activeElement.blur()").await;
    while browser
        .script("return document.body.contains(window.mine)")
        .await
        == true
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        browser
            .script("return document.getElementById('saves-old').open")
            .await,
        true
    );
    drop(viewers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_tab_asks_nothing_and_a_gateway_that_is_gone_is_said_to_be() {
    let mut stage = Stage::new().await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    browser.shows("live").await;
    // As the browser says it of a tab behind another one.
    let hide = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    browser.script(&hide(true)).await;
    browser.shows("paused").await;
    browser.script(&hide(false)).await;
    browser.shows("live").await;
    stage.gateway.signal(rustix::process::Signal::KILL);
    stage.gateway.ended().await;
    browser
        .shows("No connection to the gateway. What you see is old.")
        .await;
    browser.photographs("gone").await;
    stage.gateway = stage.setup.start().await;
    browser.shows("live").await;
}
