//! A real browser: headless Chromium, driven over chromedriver's W3C WebDriver API.
//!
//! Resolves no name and uses no proxy, so whatever a page asks of anybody but 127.0.0.1 fails.
//! Ended when dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use test_servers::ReservedPort;
use tokio::time::{Instant, sleep};

use super::base64;
use crate::process::harness::PATIENCE;

/// The key of an element's reference (WebDriver section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const TAB: &str = "\u{e004}";

/// One window.
pub(super) struct Browser {
    driver: Child,
    address: SocketAddr,
    _port: ReservedPort,
    client: reqwest::Client,
    session: String,
}

impl Browser {
    /// A window of 1440 pixels with the light theme.
    pub(super) async fn start() -> Self {
        let port = ReservedPort::any().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", port.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver runs: apt-get install chromium chromium-driver");
        let mut browser = Self {
            driver,
            address: port.addr(),
            _port: port,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            session: String::new(),
        };
        browser.listens().await;
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = browser.post("/session", &wanted).await;
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        // What is looked for may be on the page that comes next.
        let patience = json!({ "implicit": PATIENCE.as_millis() });
        browser.command("/timeouts", patience).await;
        browser.looks(1440, "light").await;
        browser
    }

    async fn listens(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.client.get(self.url("/status")).send().await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not listen");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answered = self.try_post(path, body).await;
        answered.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What it answers, or what it has against it.
    async fn try_post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let request = self.client.post(self.url(path)).body(body.to_string());
        let request = request.header("content-type", "application/json");
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        let value = answer["value"].clone();
        if status.is_success() {
            Ok(value)
        } else {
            Err(value)
        }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.post(&path, &body).await
    }

    /// A command of the DevTools protocol.
    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.command("/goog/cdp/execute", body).await
    }

    /// Loads a page.
    pub(super) async fn open(&self, url: &str) {
        self.command("/url", json!({ "url": url })).await;
    }

    /// How wide the window is, in pixels, and which theme its user likes.
    pub(super) async fn looks(&self, width: u32, theme: &str) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.devtools("Emulation.setEmulatedMedia", theme).await;
    }

    /// Runs no script of pages from now on.
    pub(super) async fn without_script(&self) {
        let off = json!({ "value": true });
        self.devtools("Emulation.setScriptExecutionDisabled", off)
            .await;
    }

    /// What a function's body returns in the page.
    pub(super) async fn script(&self, body: &str) -> Value {
        self.command("/execute/sync", json!({ "script": body, "args": [] }))
            .await
    }

    /// What is written on the page; nothing while it is being replaced.
    pub(super) async fn text(&self) -> String {
        let written = "return document.body ? document.body.innerText : ''";
        let text = self.script(written).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// The page as it came, and as it is now.
    pub(super) async fn source(&self) -> String {
        let path = format!("/session/{}/source", self.session);
        let answer = self.client.get(self.url(&path)).send().await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        answer["value"].as_str().unwrap().to_owned()
    }

    /// Returns what is written on the page once this is.
    pub(super) async fn shows(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let written = self.text().await;
            if written.contains(text) {
                return written;
            }
            assert!(
                Instant::now() < deadline,
                "it never shows {text:?}: {written}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Types into the field that a selector finds.
    pub(super) async fn types(&self, selector: &str, text: &str) {
        self.does(selector, "value", &json!({ "text": text })).await;
    }

    /// Clicks on what a selector finds.
    pub(super) async fn clicks(&self, selector: &str) {
        self.does(selector, "click", &json!({})).await;
    }

    /// Does it again where its part was renewed between looking and doing.
    async fn does(&self, selector: &str, what: &str, body: &Value) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let element = self.find(selector).await;
            let path = format!("/session/{}/element/{element}/{what}", self.session);
            match self.try_post(&path, body).await {
                Ok(_) => return,
                Err(error) => {
                    let is_renewed = error["error"] == "stale element reference";
                    assert!(
                        is_renewed && Instant::now() < deadline,
                        "{selector}: {error}"
                    );
                }
            }
        }
    }

    /// Presses the tabulator.
    pub(super) async fn tabs(&self) {
        let keys = [("keyDown", TAB), ("keyUp", TAB)];
        let keys = keys.map(|(kind, key)| json!({ "type": kind, "value": key }));
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.command("/actions", actions).await;
    }

    async fn find(&self, selector: &str) -> String {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.command("/element", wanted).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// A picture of the whole page, which is left for people to look at; returns its bytes.
    pub(super) async fn photographs(&self, name: &str) -> Vec<u8> {
        let metrics = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let size = &metrics["cssContentSize"];
        let clip = json!({
            "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1,
        });
        self.photograph_of(name, clip).await
    }

    /// The same of what lies above this height.
    pub(super) async fn photographs_above(&self, name: &str, width: u32, height: u32) -> Vec<u8> {
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        self.photograph_of(name, clip).await
    }

    async fn photograph_of(&self, name: &str, clip: Value) -> Vec<u8> {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.devtools("Page.captureScreenshot", wanted).await;
        let png = base64::decode(shot["data"].as_str().unwrap());
        let file = folder().join(name).with_extension("png");
        std::fs::write(file, &png).unwrap();
        png
    }

    /// What the console has against the page.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let log = self.command("/se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        let severe = entries.filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    /// Not with the asynchronous client: this runs where a test has failed, too.
    fn drop(&mut self) {
        let end = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let request = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.session, self.address
            );
            stream.write_all(request.as_bytes())?;
            let mut first = [0; 1];
            stream.read_exact(&mut first)?;
            stream.shutdown(Shutdown::Both)
        };
        let _ = end();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where pictures are left: below the target directory.
pub(super) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
