//! What an origin that does not answer costs a viewer.
//!
//! Every key is asked once, so that no hint spares the walk. The claims are about a machine that
//! does nothing else: two of twenty requests may be late, but none may wait for the bad origin.

use std::time::{Duration, Instant};

use test_servers::faulty::{Fault, Faulty, On};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::harness::{Gateway, Setup, route, web, with_own_etc};

const SOON: Duration = Duration::from_millis(50);
/// The default of `hedge_after`.
const HEDGED: Duration = Duration::from_millis(400);

async fn setup(first: &Faulty) -> (Faulty, Setup) {
    let good = Faulty::start().await;
    for n in 0..200 {
        good.put(&format!("{n}.webp"), "picture");
    }
    let setup = Setup::new(
        web("first", &first.base_url())
            + &web("good", &good.base_url())
            + &route(&["first", "good"]),
    );
    (good, setup)
}

/// Until the answer's head.
async fn first_byte(gateway: &Gateway, n: usize) -> Duration {
    let began = Instant::now();
    let response = gateway.ask(&format!("/{n}.webp")).await.unwrap();
    let took = began.elapsed();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "picture");
    took
}

async fn twenty_are_soon(gateway: &Gateway, from: usize, what: &str) {
    let mut took = Vec::new();
    for n in from..from + 20 {
        took.push(first_byte(gateway, n).await);
    }
    took.sort();
    println!("{what}: median {:?}, slowest {:?}", took[10], took[19]);
    assert!(took[17] < SOON, "{took:?}");
    assert!(took[19] < HEDGED, "{took:?}");
}

#[tokio::test]
async fn a_hanging_first_origin_costs_less_than_3_s_and_nothing_once_it_is_known() {
    let hanging = Faulty::start().await;
    hanging.fault(On::any(), Fault::Hang);
    let (_good, setup) = setup(&hanging).await;
    let gateway = setup.start().await;
    let mut took = first_byte(&gateway, 0).await;
    println!("hanging: the first byte after {took:?}");
    let began = Instant::now();
    let mut asked = 1;
    while took > SOON {
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert!(asked < 100, "the breaker does not learn");
        took = first_byte(&gateway, asked).await;
        asked += 1;
    }
    println!(
        "hanging: known after {asked} requests and {:?}",
        began.elapsed()
    );
    twenty_are_soon(&gateway, asked, "hanging and known").await;
    // A trial while nobody waits for it costs nobody anything either.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    twenty_are_soon(&gateway, asked + 20, "hanging and tried again").await;
}

#[tokio::test]
async fn a_first_origin_that_does_not_even_accept_costs_less_than_3_s() {
    // Once its queue is full, the kernel drops whoever knocks.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut knocking = Vec::new();
    while let Ok(connected) = timeout(HEDGED, TcpStream::connect(address)).await {
        knocking.push(connected.unwrap());
    }
    let good = Faulty::start().await;
    good.put("0.webp", "picture");
    let first = web("first", &format!("http://{address}/"));
    let setup = Setup::new(first + &web("good", &good.base_url()) + &route(&["first", "good"]));
    let took = first_byte(&setup.start().await, 0).await;
    println!("not accepting: the first byte after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn names_that_nobody_answers_for_cost_less_than_3_s() {
    let good = Faulty::start().await;
    good.put("0.webp", "picture");
    let first = web("first", "https://media.example.com/");
    let setup = Setup::new(first + &web("good", &good.base_url()) + &route(&["first", "good"]));
    // An address that is for documentation, so that nobody is there.
    let silent = "echo nameserver 192.0.2.1 >/etc/resolv.conf";
    let gateway = setup.start_under(&with_own_etc(silent)).await;
    let took = first_byte(&gateway, 0).await;
    println!("silent name server: the first byte after {took:?}");
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_dead_first_origin_costs_nothing_from_the_first_request_on() {
    let dead = Faulty::start().await;
    dead.stop().await;
    let (_good, setup) = setup(&dead).await;
    let gateway = setup.start().await;
    let took = first_byte(&gateway, 0).await;
    println!("dead: the first byte after {took:?}");
    assert!(took < HEDGED, "{took:?}");
    twenty_are_soon(&gateway, 1, "dead").await;
}

#[tokio::test]
async fn a_first_origin_that_stalls_in_mid_body_costs_no_byte() {
    let stalling = Faulty::start().await;
    let picture: Vec<u8> = (0..500_000u32).map(|n| (n % 251) as u8).collect();
    stalling.put("big.webp", picture.clone());
    // Each time again: few bytes, then silence.
    stalling.fault(On::any(), Fault::StallAfter(1000));
    let good = Faulty::start().await;
    good.put("big.webp", picture.clone());
    let first = web("first", &stalling.base_url()) + "idle_timeout = \"500ms\"\n";
    let setup = Setup::new(first + &web("good", &good.base_url()) + &route(&["first", "good"]));
    let gateway = setup.start().await;
    let began = Instant::now();
    let answer = gateway.get("/big.webp").await;
    let took = began.elapsed();
    println!("stalling after 1000 bytes: all after {took:?}");
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(answer.body == picture, "{}", gateway.log());
    assert_eq!(answer.headers["x-origin"], "first");
}
