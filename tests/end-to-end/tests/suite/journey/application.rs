//! The application and its moderators: they upload and delete while storage moves.

use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::trouble::Served;
use super::truth::{Life, Side, Truth};
use crate::kept::harness::Random;
use crate::process::harness::Setup;

/// Where the application uploads and deletes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uploads<'p> {
    pub(super) side: Side,
    pub(super) place: &'p Place,
}

impl Uploads<'_> {
    /// Uploads new files until it is over.
    pub(super) async fn go_on(self, truth: &Truth, over: &CancellationToken) {
        for n in 0.. {
            let pause = sleep(Duration::from_millis(150));
            if over.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let key = format!("m/uploaded {n:04}+新.webp");
            self.place.put(&key).await;
            truth.add(&key, self.side, true);
        }
    }
}

/// Deletes until it is over: for good, as the guide says, or as the application alone does. That
/// no other place has the file is known only of uploads that nobody copies.
pub(super) async fn delete(
    setup: &Setup,
    truth: &Truth,
    served: &Served,
    uploads: Uploads<'_>,
    over: &CancellationToken,
    mut random: Random,
) {
    loop {
        let pause = sleep(Duration::from_millis(300));
        if over.run_until_cancelled(pause).await.is_none() {
            return;
        }
        let alone = uploads.side == Side::New && random.below(3) == 0;
        let live = |_: &str, file: super::truth::File| {
            file.life == Life::Live && (file.is_upload || !alone)
        };
        let Some(key) = truth.any(&mut random, live) else {
            continue;
        };
        truth.becomes(&key, Life::Going);
        uploads.place.delete(&key).await;
        if alone {
            truth.becomes(&key, Life::Deleted);
        } else {
            bury(setup, truth, served, &key, random.below(2) == 0).await;
        }
    }
}

/// A tombstone, and the objects as well if that is wanted. What is left at an origin that cannot
/// be asked now is for the next call.
async fn bury(setup: &Setup, truth: &Truth, served: &Served, key: &str, erase: bool) {
    // Without a gateway the command would hold the state directory.
    let _there = served.0.lock().await;
    let arguments = ["tombstone", "add", key, "--reason", "a test", "--erase"];
    let said = setup.run(&arguments[..5 + usize::from(erase)]).await;
    let out = String::from_utf8_lossy(&said.stdout);
    match said.status.code() {
        Some(0) => {}
        Some(1) if erase && out.contains("left") => {}
        _ => truth.failed(format!("{key} has no tombstone: {said:?}")),
    }
    truth.becomes(key, Life::Buried);
}
