//! The cache's volume in trouble under load: full, without inodes, read-only, deleted, hanging.
//! Every answer stays right, and it recovers without a restart.
//!
//! Real mounts, so only root sees them; who is not root has a deletion only, and is told so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tempfile::TempDir;
use test_servers::faulty::Faulty;

use super::client::{get, range};
use super::harness::{Gateway, MIB, PATIENCE, Setup, before, film, metric, metric_is, noise};

const OBJECTS: usize = 40;

/// A file system of its own; thawed and gone when dropped.
struct Volume {
    room: TempDir,
}

impl Volume {
    /// `None` where mounting is not allowed.
    fn tmpfs(options: &str) -> Option<Self> {
        let this = Self::new();
        let mounted = run("mount", &["-t", "tmpfs", "-o", options, "none"], &this.at());
        this.or_told(mounted)
    }

    fn ext4(megabytes: u64) -> Option<Self> {
        let this = Self::new();
        let image = this.room.path().join("image");
        let file = fs::File::create(&image).unwrap();
        file.set_len(megabytes << 20).unwrap();
        let image = image.display().to_string();
        let made = run("mkfs.ext4", &["-q"], Path::new(&image));
        let options = "loop,errors=remount-ro";
        let mounted = made && run("mount", &["-o", options, &image], &this.at());
        this.or_told(mounted)
    }

    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join("mount")).unwrap();
        Self { room }
    }

    fn or_told(self, mounted: bool) -> Option<Self> {
        if !mounted {
            println!("nothing can be mounted here: this test sees nothing");
        }
        mounted.then_some(self)
    }

    fn at(&self) -> PathBuf {
        self.room.path().join("mount")
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(run("mount", &["-o", &options], &self.at()), "{options}");
    }

    /// What the kernel does with a disk that fails: from then on it can only be read.
    fn fail(&self) {
        let mut source = Command::new("findmnt");
        let source = source
            .args(["--noheadings", "--output", "SOURCE"])
            .arg(self.at());
        let device = String::from_utf8(source.output().unwrap().stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "1").unwrap();
        let refused = fs::write(self.at().join("probe"), "").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }

    /// What an operator does about it.
    fn mend(&self) {
        assert!(run("umount", &[], &self.at()), "something is still open");
        let image = self.room.path().join("image").display().to_string();
        let options = "loop,errors=remount-ro";
        assert!(run("mount", &["-o", options, &image], &self.at()));
    }

    fn freeze(&self, frozen: bool) -> bool {
        run("fsfreeze", &[if frozen { "-f" } else { "-u" }], &self.at())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // A process that waits for a frozen one cannot even be killed.
        self.freeze(false);
        run("umount", &["--lazy"], &self.at());
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(last).output();
    output.is_ok_and(|output| output.status.success())
}

/// Some of one slice, some of two.
fn bytes(n: usize) -> Vec<u8> {
    let length = if n.is_multiple_of(4) {
        MIB + 70_000
    } else {
        60_000
    };
    noise(n as u64, length + n)
}

/// A bucket of objects by number, in generations so that there is always something new.
async fn full(generations: usize) -> Faulty {
    let origin = Faulty::start().await;
    for n in 0..OBJECTS {
        let object = film(&bytes(n));
        for generation in 0..generations {
            origin.put(&format!("{generation}/{n}.mp4"), object.clone());
        }
    }
    origin
}

fn setup(origin: &Faulty, at: PathBuf) -> Setup {
    // Little memory, so that it is the disk that answers.
    before(origin).cache_in(at).cache("memory = \"1 MB\"")
}

/// Everything of a generation, eight at a time; every answer is right.
async fn storm(gateway: &Gateway, generation: usize) {
    let began = Instant::now();
    let asked = stream::iter(0..OBJECTS).map(async |n| {
        let (path, bytes) = (format!("/{generation}/{n}.mp4"), bytes(n));
        let told = get(gateway, &path).await;
        assert!(
            told.is(200, &bytes),
            "{path}: {}: {}",
            told.summary(),
            gateway.log()
        );
        let part = range(gateway, &path, "bytes=50000-59999").await;
        assert!(
            part.is(206, &bytes[50_000..60_000]),
            "{path}: {}",
            part.summary()
        );
    });
    asked.buffer_unordered(8).collect::<Vec<()>>().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// It is up, and what is asked for is kept, perhaps not at once.
async fn recovers(gateway: &Gateway, generation: usize) {
    metric_is(gateway, "cache_up", |up| up == 1).await;
    let hits = "cache_hits_total{tier=\"disk\"}";
    let (before, began) = (metric(gateway, hits).await, Instant::now());
    while metric(gateway, hits).await <= before {
        let log = gateway.log();
        assert!(began.elapsed() < PATIENCE, "nothing is kept: {log}");
        storm(gateway, generation).await;
    }
}

#[tokio::test]
async fn a_volume_without_room_costs_no_viewer_anything() {
    for (little, much) in [
        ("size=6m", "size=300m"),
        ("nr_inodes=50", "nr_inodes=20000"),
    ] {
        let Some(volume) = Volume::tmpfs(little) else {
            return;
        };
        let origin = full(3).await;
        let gateway = setup(&origin, volume.at()).start().await;
        for generation in [0, 1, 0] {
            storm(&gateway, generation).await;
        }
        let log = gateway.log();
        let evicted = metric(&gateway, "cache_evicted_total{reason=\"free\"}").await
            + metric(&gateway, "cache_evicted_total{reason=\"files\"}").await;
        let full = metric(&gateway, "cache_errors_total{kind=\"full\"}").await;
        println!("{little}: {evicted} evicted, {full} times full");
        assert!(evicted + full > 0, "{little}: {log}");
        volume.remount(much);
        recovers(&gateway, 2).await;
        gateway.stopped().await;
    }
}

#[tokio::test]
async fn a_volume_that_becomes_read_only_costs_no_viewer_anything() {
    let Some(volume) = Volume::ext4(128) else {
        return;
    };
    let origin = full(3).await;
    let mut gateway = setup(&origin, volume.at()).start().await;
    storm(&gateway, 0).await;
    volume.fail();
    for generation in [0, 1] {
        storm(&gateway, generation).await;
    }
    metric_is(&gateway, "cache_up", |up| up == 0).await;
    volume.mend();
    gateway.logged("can be used again").await;
    recovers(&gateway, 2).await;
    gateway.stopped().await;
}

#[tokio::test]
async fn a_directory_that_is_deleted_under_load_costs_no_viewer_anything() {
    let room = tempfile::tempdir().unwrap();
    let origin = full(3).await;
    let setup = setup(&origin, room.path().join("cache"));
    let mut gateway = setup.start().await;
    storm(&gateway, 0).await;
    let deleting = async {
        // Files that are being written may hinder it.
        while fs::remove_dir_all(setup.cache_directory()).is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::join!(storm(&gateway, 1), deleting);
    storm(&gateway, 0).await;
    gateway.logged("can be used again").await;
    recovers(&gateway, 2).await;
    gateway.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_hangs_costs_no_viewer_an_answer() {
    let Some(volume) = Volume::ext4(128) else {
        return;
    };
    let origin = full(4).await;
    let gateway = setup(&origin, volume.at())
        .cache("fill_memory = \"8 MB\"")
        .start()
        .await;
    storm(&gateway, 0).await;
    if !volume.freeze(true) {
        println!("nothing can be frozen here: this test sees nothing");
        return;
    }
    let (late, began) = ("cache_errors_total{kind=\"timeout\"}", Instant::now());
    let mut slowest = Duration::ZERO;
    for generation in [1, 0, 2].into_iter().cycle() {
        let stormed = Instant::now();
        storm(&gateway, generation).await;
        slowest = slowest.max(stormed.elapsed());
        if metric(&gateway, late).await > 0 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "nobody notices");
    }
    println!(
        "frozen: noticed after {:?}, slowest storm {slowest:?}",
        began.elapsed()
    );
    assert!(volume.freeze(false));
    recovers(&gateway, 3).await;
    gateway.stopped().await;
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}
