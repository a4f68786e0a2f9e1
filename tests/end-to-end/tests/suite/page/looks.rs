//! How the page looks: on every screen, in both themes and both languages.
//!
//! The pictures lie in `tmp/page` below the target directory.

use std::time::Duration;

use serde_json::Value;

use super::browser::Browser;
use super::harness::{HOSTILE, Stage};
use crate::kept::harness::soak;

const SECTIONS: [(&str, &str, &str); 5] = [
    ("overview", "Overview", "概況"),
    ("origins", "Origins", "オリジン"),
    ("migration", "Migration", "移行"),
    ("explain", "Explain", "調べる"),
    ("cache", "Cache", "キャッシュ"),
];

/// Each text with a contrast below 4.5 to 1 (WCAG 2.2 section 1.4.3).
const FAINT: &str = r#"
const channels = (colour) => {
  const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number);
  return { r, g, b, a };
};
const light = ({ r, g, b }) => {
  const [x, y, z] = [r, g, b].map((c) => {
    c /= 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = channels(getComputedStyle(at).backgroundColor);
    if (colour.a === 1) return colour;
    if (colour.a > 0) throw new Error("a half transparent ground: " + at.className);
  }
  throw new Error("no ground");
};
const faint = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || ["SCRIPT", "NOSCRIPT"].includes(element.tagName)) continue;
  if (!element.getClientRects().length) continue;
  const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
  const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (contrast < 4.5) faint.push(`${contrast.toFixed(2)}: ${walk.currentNode.data.trim()}`);
}
return faint;
"#;

/// What somebody who does not see could not use.
const UNLABELLED: &str = r#"
const bad = [];
for (const input of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
  if (!input.labels.length || !input.labels[0].textContent.trim()) bad.push(input.outerHTML);
for (const named of document.querySelectorAll("svg[role=img], progress, nav, [role=region]"))
  if (!named.getAttribute("aria-label") && !named.getAttribute("aria-labelledby")) bad.push(named.outerHTML);
for (const reference of document.querySelectorAll("[aria-labelledby], [aria-describedby]"))
  for (const name of ["aria-labelledby", "aria-describedby"])
    if (reference.hasAttribute(name) && !document.getElementById(reference.getAttribute(name)))
      bad.push(reference.outerHTML);
for (const button of document.querySelectorAll("button, a"))
  if (!button.textContent.trim()) bad.push(button.outerHTML);
for (const image of document.querySelectorAll("img"))
  if (!image.hasAttribute("alt")) bad.push(image.outerHTML);
for (const one of ["h1", "main", "body > header", "body > footer"])
  if (document.querySelectorAll(one).length !== 1) bad.push(`${one} is not there once`);
const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
if (new Set(ids).size !== ids.length) bad.push("an id is there twice");
if (!document.documentElement.lang) bad.push("no language");
return bad;
"#;

/// What of the page came from elsewhere.
const FOREIGN: &str = "return performance.getEntriesByType('resource').map((one) => one.name)\
                       .filter((name) => !name.startsWith(location.origin))";

/// How far it reaches beyond its window.
const OVERFLOW: &str = "return document.documentElement.scrollWidth - innerWidth";

fn none() -> Value {
    Value::Array(Vec::new())
}

/// The size of a PNG, which its header tells.
fn size(png: &[u8]) -> (u32, u32) {
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_on_every_screen_in_both_themes_and_languages() {
    let stage = Stage::new().await;
    for n in 0..100 {
        stage.view(&format!("{n}.mp4")).await;
    }
    stage.view(HOSTILE).await;
    let browser = Browser::start().await;
    for (language, index) in [("en", 1), ("ja", 2)] {
        for theme in ["light", "dark"] {
            for width in [360, 1440] {
                browser.looks(width, theme).await;
                browser
                    .open(&stage.page(&format!("/?lang={language}")))
                    .await;
                let text = browser.text().await;
                let headings = "return [...document.querySelectorAll('section')].map((one) => \
                                [one.id, one.querySelector('h1, h2').textContent])";
                let headings = browser.script(headings).await;
                for (place, section) in SECTIONS.iter().enumerate() {
                    let name = [section.0, section.1, section.2][index];
                    assert_eq!(headings[place][0], section.0, "{text}");
                    assert_eq!(headings[place][1], name, "{text}");
                }
                let what = format!("{language}-{theme}-{width}");
                assert_eq!(browser.script(OVERFLOW).await, 0, "{what}");
                assert_eq!(browser.script(FOREIGN).await, none(), "{what}");
                assert_eq!(browser.script(FAINT).await, none(), "{what}");
                assert_eq!(browser.script(UNLABELLED).await, none(), "{what}");
                let png = browser.photographs(&what).await;
                let (wide, high) = size(&png);
                assert_eq!(wide, width, "{what}");
                // One colour would take a few hundred bytes.
                assert!(
                    high > 2_000 && png.len() > 50_000,
                    "{what}: {high} {}",
                    png.len()
                );
            }
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_pages_fit_a_telephone_and_are_readable() {
    let stage = Stage::new().await;
    stage.view("1.mp4").await;
    let browser = Browser::start().await;
    let url = format!("https://media.example/{}", super::harness::escaped(HOSTILE));
    let url = super::harness::escaped(&url);
    for (name, path) in [
        ("explain", format!("/explain?url={url}")),
        ("explain-nothing", "/explain?url=nonsense".to_owned()),
        ("purge", "/purge?target=1.mp4&below=yes".to_owned()),
        ("tombstone", "/tombstone?target=1.mp4".to_owned()),
        ("withdrawn", "/withdrawn".to_owned()),
    ] {
        for theme in ["light", "dark"] {
            browser.looks(360, theme).await;
            browser.open(&stage.page(&path)).await;
            assert_eq!(browser.script(OVERFLOW).await, 0, "{path}");
            assert_eq!(browser.script(FAINT).await, none(), "{path}");
            assert_eq!(browser.script(UNLABELLED).await, none(), "{path}");
            browser.photographs(&format!("{name}-{theme}-360")).await;
        }
    }
}

/// For the README: `overview.png` and `telephone.png`, to be put into `docs/images`. With the tests
/// that go on for long, after a quarter of an hour of viewers, so that the plots have something to show.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_gateway_is_photographed_for_the_readme() {
    let stage = Stage::new().await;
    let viewers = stage.viewers(50);
    if soak() {
        tokio::time::sleep(Duration::from_mins(15)).await;
    }
    stage.view("none.mp4").await;
    stage.tell_of_a_migration().await;
    stage.audit().await;
    let browser = Browser::start().await;
    for (name, width, height, theme, language) in [
        ("overview", 1200, 1180, "light", "en"),
        ("telephone", 400, 1180, "dark", "ja"),
    ] {
        browser.looks(width, theme).await;
        browser
            .open(&stage.page(&format!("/?lang={language}")))
            .await;
        let png = browser.photographs_above(name, width, height).await;
        assert_eq!(size(&png), (width, height));
        assert!(png.len() < 200_000, "{name}: {}", png.len());
    }
    drop(viewers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyboard_reaches_everything_in_the_order_of_the_page_and_sees_where_it_is() {
    let stage = Stage::new().await;
    stage.view("99.mp4").await;
    let browser = Browser::start().await;
    browser.open(&stage.page("/")).await;
    // What can be reached, in the order in which it is written.
    let all = "const all = [...document.querySelectorAll('a[href], button, summary, \
               [tabindex=\"0\"], input:not([type=hidden])')].filter((one) => one.checkVisibility());";
    let count = browser.script(&format!("{all} return all.length")).await;
    let count = count.as_u64().unwrap();
    assert!(count > 15, "{count}");
    for n in 0..count {
        browser.tabs().await;
        // Found again each time: parts in which nobody is may be new by now.
        let at = "const at = document.activeElement, style = getComputedStyle(at); \
                  return [all.indexOf(at), style.outlineStyle, parseFloat(style.outlineWidth), \
                  at.outerHTML]";
        let at = browser.script(&format!("{all} {at}")).await;
        assert_eq!(at[0], n, "{at}");
        assert_ne!(at[1], "none", "{at}");
        assert!(at[2].as_f64().unwrap() >= 2.0, "{at}");
    }
}
