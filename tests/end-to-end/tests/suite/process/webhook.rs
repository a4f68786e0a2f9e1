//! Alerts that the gateway tells by itself, to a receiver that is right, rude, slow or dead.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use test_servers::ReservedPort;
use test_servers::faulty::Faulty;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::harness::{Gateway, PATIENCE, Setup, route, web};

/// What must be seen nowhere.
const SECRET: &str = "a-secret-of-the-receiver";

/// What a receiver does with a message.
#[derive(Clone, Copy)]
enum Reply {
    /// Answers this status, with these lines in the head.
    Status(u16, &'static str),
    /// Never answers.
    Hang,
}

/// One message as it came.
struct Message {
    at: Instant,
    head: String,
    body: String,
}

impl Message {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("{name}: {}", self.head)).1
    }

    /// What people read of it.
    fn text(&self) -> String {
        match serde_json::from_str::<Value>(&self.body) {
            Ok(json) => {
                let text = ["content", "text"]
                    .iter()
                    .find_map(|key| json[*key].as_str());
                text.unwrap().to_owned()
            }
            Err(_) => self.body.clone(),
        }
    }
}

/// Whoever receives alerts.
struct Receiver {
    address: SocketAddr,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    messages: mpsc::UnboundedReceiver<Message>,
    _stop: DropGuard,
}

impl Receiver {
    async fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::<Mutex<VecDeque<Reply>>>::default();
        let (sender, messages) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let accepting = {
            let (replies, stop, tasks) = (Arc::clone(&replies), stop.clone(), tasks.clone());
            async move {
                while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await
                {
                    let (replies, sender, stop) =
                        (Arc::clone(&replies), sender.clone(), stop.clone());
                    tasks.spawn(async move {
                        let taken = take(stream, &replies, &sender);
                        let _ = stop.run_until_cancelled(taken).await;
                    });
                }
            }
        };
        tasks.spawn(accepting);
        Self {
            address,
            replies,
            messages,
            _stop: stop.drop_guard(),
        }
    }

    fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap().extend(replies);
    }

    async fn next(&mut self) -> Message {
        let next = timeout(PATIENCE * 2, self.messages.recv()).await;
        next.expect("a message comes").unwrap()
    }
}

async fn take(
    stream: TcpStream,
    replies: &Mutex<VecDeque<Reply>>,
    sender: &mpsc::UnboundedSender<Message>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await?;
        let body = String::from_utf8(body).unwrap();
        let at = Instant::now();
        let _ = sender.send(Message { at, head, body });
        let reply = replies.lock().unwrap().pop_front();
        match reply.unwrap_or(Reply::Status(200, "")) {
            Reply::Hang => std::future::pending::<()>().await,
            Reply::Status(status, lines) => {
                // As some do, it repeats what it was sent.
                let said = format!("you said {SECRET}");
                let length = said.len();
                let answer = format!(
                    "HTTP/1.1 {status} Whatever\r\n{lines}Content-Length: {length}\r\n\r\n{said}"
                );
                stream.get_mut().write_all(answer.as_bytes()).await?;
            }
        }
    }
}

/// A gateway before one origin, that tells quickly that it is down.
fn setup(bucket: &Faulty, webhook: &str) -> Setup {
    Setup::new(lines(bucket, webhook))
}

fn lines(bucket: &Faulty, webhook: &str) -> String {
    web("current", &bucket.base_url())
        + &route(&["current"])
        + "\n[webhook]\nname = \"web-1\"\nevery = \"1s\"\nafter = \"1s\"\n\
           alerts = [\"OriginLeftAlone\"]\n"
        + webhook
}

fn shaped(shape: &str, address: SocketAddr) -> String {
    format!("shape = \"{shape}\"\nurl = \"http://{address}/hooks/{SECRET}\"\n")
}

/// Nobody is at the origin, and viewers have noticed.
async fn break_origin(bucket: &Faulty, gateway: &Gateway) {
    bucket.stop().await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/absent").await.status, 503);
    }
}

async fn heal_origin(bucket: &Faulty, gateway: &Gateway) {
    bucket.restart();
    assert_eq!(gateway.get("/a").await.status, 200);
}

async fn bucket() -> Faulty {
    let bucket = Faulty::start().await;
    bucket.put("a", vec![1; 100]);
    bucket
}

async fn tells_and_resolves(shape: &str, more: &str, check: impl Fn(&Message)) {
    let (bucket, mut receiver) = (bucket().await, Receiver::start().await);
    let setup = setup(&bucket, &(shaped(shape, receiver.address) + more)).tracing();
    let gateway = setup.start().await;
    break_origin(&bucket, &gateway).await;
    let fires = receiver.next().await;
    assert!(fires.head.starts_with("POST /hooks/"), "{}", fires.head);
    let text = fires.text();
    for part in [
        "media-gateway web-1",
        "WARNING OriginLeftAlone: Origin current is down",
        "docs/operations.md#the-alerts-and-what-to-do",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    check(&fires);
    heal_origin(&bucket, &gateway).await;
    let over = receiver.next().await;
    let is_over = over.text().contains("OVER OriginLeftAlone");
    assert!(is_over, "{}", over.text());
    check(&over);
    let metrics = gateway.operators("/metrics").await.text();
    for sample in ["{result=\"sent\"} 2", "{result=\"failed\"} 0"] {
        let sample = format!("media_gateway_webhook_messages_total{sample}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
    let log = gateway.stopped().await;
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn discord_is_told_that_an_origin_is_down_and_that_it_is_back() {
    tells_and_resolves("discord", "", |message| {
        let json = message.json();
        assert!(json["content"].as_str().unwrap().chars().count() <= 2000);
        assert_eq!(json["allowed_mentions"]["parse"], Value::Array(Vec::new()));
        assert_eq!(message.header("content-type"), "application/json");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ntfy_is_told_in_its_headers_how_bad_it_is() {
    let token = format!("token = \"{SECRET}\"\n");
    tells_and_resolves("ntfy", &token, |message| {
        let is_over = message.body.contains("OVER");
        let priority = if is_over { "3" } else { "4" };
        assert_eq!(message.header("priority"), priority);
        assert!(message.header("title").contains("web-1"));
        let bearer = format!("Bearer {SECRET}");
        assert_eq!(message.header("authorization"), bearer);
        assert!(message.body.len() <= 4096);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn misskey_is_told_by_a_note_for_the_recipients_only() {
    let more =
        format!("token = \"{SECRET}\"\nvisibility = \"specified\"\nrecipients = [\"9abc\"]\n");
    tells_and_resolves("misskey", &more, |message| {
        let json = message.json();
        assert_eq!(json["i"], SECRET);
        assert_eq!(json["visibility"], "specified");
        assert_eq!(json["visibleUserIds"][0], "9abc");
        assert!(json["text"].as_str().unwrap().chars().count() <= 3000);
        assert!(!message.head.to_lowercase().contains("authorization"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_told_every_field() {
    tells_and_resolves("json", "", |message| {
        let json = message.json();
        assert_eq!(
            (json["version"].as_u64(), &json["gateway"]),
            (Some(1), &"web-1".into())
        );
        let alert = &json["alerts"][0];
        assert_eq!(alert["alert"], "OriginLeftAlone");
        assert_eq!(alert["subject"], "origin current");
        assert_eq!(alert["severity"], "warning");
        let status = alert["status"].as_str().unwrap();
        assert!(["firing", "resolved"].contains(&status), "{status}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_fails_or_hangs_gets_the_message_later_and_viewers_wait_for_none() {
    let (bucket, mut receiver) = (bucket().await, Receiver::start().await);
    receiver.replies([
        Reply::Status(500, ""),
        Reply::Status(429, "Retry-After: 3\r\n"),
        Reply::Hang,
    ]);
    let setup = setup(&bucket, &shaped("discord", receiver.address)).tracing();
    let mut gateway = setup.start().await;
    break_origin(&bucket, &gateway).await;
    let failed = receiver.next().await;
    let refused = receiver.next().await;
    let hung = receiver.next().await;
    assert!(hung.at - refused.at >= Duration::from_secs(3));
    for message in [&failed, &refused, &hung] {
        assert!(message.text().contains("WARNING OriginLeftAlone"));
    }
    // Nobody waits for a receiver that hangs.
    heal_origin(&bucket, &gateway).await;
    // By now the latest word is another one, and only that is told.
    let last = receiver.next().await;
    assert!(
        last.text().contains("OVER OriginLeftAlone"),
        "{}",
        last.text()
    );
    gateway.logged("the webhook has taken a message").await;
    let log = gateway.stopped().await;
    assert_eq!(
        log.matches("the webhook has not taken a message").count(),
        3
    );
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_is_told_once_it_is_there_and_a_restart_tells_nothing_again() {
    let (bucket, port) = (bucket().await, ReservedPort::any().unwrap());
    let setup = setup(&bucket, &shaped("json", port.addr()));
    let mut gateway = setup.start().await;
    break_origin(&bucket, &gateway).await;
    gateway.logged("the webhook has not taken a message").await;
    let address = port.addr();
    drop(port);
    let mut receiver = Receiver::at(address).await;
    assert_eq!(
        receiver.next().await.json()["alerts"][0]["status"],
        "firing"
    );
    gateway.logged("the webhook has taken a message").await;
    gateway.stopped().await;

    let gateway = setup.start().await;
    break_origin(&bucket, &gateway).await;
    heal_origin(&bucket, &gateway).await;
    let first = receiver.next().await.json();
    assert_eq!(first["alerts"][0]["status"], "resolved", "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_who_is_told() {
    let (bucket, mut one) = (bucket().await, Receiver::start().await);
    let setup = setup(&bucket, &shaped("json", one.address));
    let gateway = setup.start().await;
    break_origin(&bucket, &gateway).await;
    one.next().await;
    let mut other = Receiver::start().await;
    let setup = setup.with_others(lines(&bucket, &shaped("discord", other.address)));
    let reloaded = setup.json(&["reload", "--json"]).await;
    assert_eq!(reloaded["changed"], serde_json::json!(["webhook"]));
    assert!(other.next().await.text().contains("OriginLeftAlone"));
    drop(gateway);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_whether_a_message_arrives_and_never_the_secret() {
    let (bucket, mut receiver) = (bucket().await, Receiver::start().await);
    let setup = setup(&bucket, &shaped("discord", receiver.address));
    let tested = setup.json(&["webhook", "test", "--json"]).await;
    assert_eq!(tested, serde_json::json!({"ok": true, "shape": "discord"}));
    assert!(receiver.next().await.text().contains("a test"));
    receiver.replies([Reply::Status(404, "")]);
    let output = setup.run(&["webhook", "test"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    for part in ["gateway.toml", "webhook.url", "404", "make a new one"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!said.contains(SECRET), "{said}");
    let checked = setup.run(&["check", "--json"]).await;
    let checked = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.contains("media-gateway webhook test"), "{checked}");
    assert!(!checked.contains(SECRET), "{checked}");

    let without = Setup::new(web("current", &bucket.base_url()) + &route(&["current"]));
    let output = without.run(&["webhook", "test"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("there is none")
    );
}
