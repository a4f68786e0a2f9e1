//! A torn end is mended, damage is refused, and neither is guessed at.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use state::{StateDirectory, StateError, TombstoneError, list_tombstones};
use xxhash_rust::xxh3::xxh3_64;

const NAMES: [&str; 3] = ["first", "second", "third"];

/// A directory, and the log of three tombstones that were added one by one.
struct Log {
    _directory: tempfile::TempDir,
    path: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
    /// Where the log ended before each addition, and after the last.
    ends: Vec<usize>,
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let file = path.join("tombstones");
        let state = open(&path).unwrap();
        let length = || usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
        let mut ends = vec![length()];
        for name in NAMES {
            let added = state
                .tombstones()
                .add(&[("media", name.as_bytes())], "a test");
            assert_eq!(added.unwrap().new, 1);
            ends.push(length());
        }
        Self {
            _directory: directory,
            bytes: fs::read(&file).unwrap(),
            path,
            file,
            ends,
        }
    }

    /// Opens a log of these bytes, of which this many tombstones are there, and adds another.
    #[track_caller]
    fn mends(&self, bytes: &[u8], there: usize) {
        fs::write(&self.file, bytes).unwrap();
        let listed = list_tombstones(&self.path).unwrap();
        assert_eq!(listed.map(Result::unwrap).count(), there);
        let state = open(&self.path).unwrap();
        for (n, name) in NAMES.into_iter().enumerate() {
            let found = state.tombstones().contains("media", name.as_bytes());
            assert_eq!(found, n < there, "{name}");
        }
        assert_eq!(
            fs::read(&self.file).unwrap(),
            self.bytes[..self.ends[there]]
        );
        state.tombstones().add(&[("media", b"more")], "").unwrap();
        drop(state);
        let listed = list_tombstones(&self.path).unwrap();
        assert_eq!(listed.map(Result::unwrap).count(), there + 1);
    }

    /// A log of these bytes is refused and left as it is.
    #[track_caller]
    fn refuses(&self, bytes: &[u8]) -> TombstoneError {
        fs::write(&self.file, bytes).unwrap();
        let error = match open(&self.path) {
            Err(StateError::Tombstones(error)) => error,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        };
        assert!(error.to_string().contains(self.file.to_str().unwrap()));
        assert_eq!(fs::read(&self.file).unwrap(), bytes);
        assert!(
            list_tombstones(&self.path).is_err(),
            "nothing is listed either"
        );
        error
    }
}

fn open(path: &Path) -> Result<StateDirectory, StateError> {
    StateDirectory::open(path, ["media"])
}

#[test]
fn a_last_write_that_ends_at_any_byte_is_taken_away() {
    let log = Log::new();
    for end in log.ends[2]..log.ends[3] {
        log.mends(&log.bytes[..end], 2);
    }
    log.mends(&log.bytes, 3);
}

#[test]
fn a_last_write_of_which_only_the_length_arrived_is_taken_away() {
    let log = Log::new();
    for from in log.ends[2]..log.ends[3] {
        let mut bytes = log.bytes.clone();
        bytes[from..].fill(0);
        if bytes != log.bytes {
            log.mends(&bytes, 2);
        }
    }
    // A write of several pages, of which the first did not arrive.
    let mut bytes = log.bytes[..log.ends[2]].to_vec();
    bytes.resize(log.ends[2] + 900_000, 0);
    bytes[log.ends[2] + 4096..].fill(0xa5);
    log.mends(&bytes, 2);
}

#[test]
fn a_flipped_byte_before_the_last_write_is_refused_with_place_and_remedy() {
    let log = Log::new();
    for at in 0..log.ends[2] {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 0x04;
        let error = log.refuses(&bytes);
        let TombstoneError::Damaged { offset, .. } = &error else {
            panic!("byte {at}: {error}");
        };
        let began = log.ends[..3].iter().rfind(|end| **end <= at);
        let expected = began.map_or(*offset, |began| *began as u64);
        assert_eq!(*offset, expected, "byte {at}");
        let said = error.to_string();
        assert!(said.contains("damaged at byte"), "{said}");
        assert!(said.contains("state import FILE"), "{said}");
        assert!(said.contains("backup"), "{said}");
    }
}

#[test]
fn a_log_with_a_piece_cut_out_is_refused() {
    let log = Log::new();
    for from in log.ends[0]..log.ends[2] {
        let mut bytes = log.bytes.clone();
        bytes.drain(from..log.ends[2].min(from + 40));
        let error = log.refuses(&bytes);
        assert!(
            matches!(error, TombstoneError::Damaged { .. }),
            "{from}: {error}"
        );
    }
}

#[test]
fn more_rubbish_than_one_write_leaves_is_refused() {
    let log = Log::new();
    let mut bytes = log.bytes.clone();
    bytes.resize(bytes.len() + 2 * 1024 * 1024, 0);
    log.refuses(&bytes);
}

#[test]
fn a_log_without_a_whole_header_is_refused() {
    let log = Log::new();
    for end in 0..log.ends[0] {
        log.refuses(&log.bytes[..end]);
    }
    log.refuses(b"something quite different, and longer than a header is");
}

#[test]
fn another_format_is_left_as_it_is_and_the_remedy_named() {
    let log = Log::new();
    let mut bytes = log.bytes.clone();
    bytes[11] = 2;
    let seal = xxh3_64(&bytes[..12]).to_be_bytes();
    bytes[12..20].copy_from_slice(&seal);
    let error = log.refuses(&bytes);
    assert!(
        matches!(error, TombstoneError::OtherFormat { found: 2, .. }),
        "{error}"
    );
    let said = error.to_string();
    assert!(said.contains("run the version that wrote it"), "{said}");
}

#[test]
fn a_log_that_the_file_system_does_not_give_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("tombstones")).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Tombstones(TombstoneError::Unreadable { .. })
        ),
        "{error}"
    );
}

#[test]
fn the_list_is_whole_while_another_thread_adds() {
    let directory = tempfile::tempdir().unwrap();
    let state = open(directory.path()).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| {
            for n in 0..200 {
                let key = format!("{n}");
                state
                    .tombstones()
                    .add(&[("media", key.as_bytes())], "")
                    .unwrap();
            }
        });
        let mut most = 0;
        while !adding.is_finished() {
            let known = state.tombstones().len();
            let listed: Vec<_> = list_tombstones(directory.path())
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(listed.len() >= known);
            for (n, tombstone) in listed.iter().enumerate() {
                assert_eq!(*tombstone.key, *format!("{n}").as_bytes());
            }
            most = listed.len();
        }
        assert!(most <= 200);
    });
    assert_eq!(list_tombstones(directory.path()).unwrap().remaining(), 200);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(
        begin in 0_usize..4,
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let directory = tempfile::tempdir().unwrap();
        drop(open(directory.path()).unwrap());
        let file = directory.path().join("tombstones");
        let mut text = fs::read(&file).unwrap();
        text.truncate([0, 8, 12, 20][begin]);
        text.extend(bytes);
        fs::write(&file, &text).unwrap();
        let _ = list_tombstones(directory.path()).map(Iterator::count);
        let _ = open(directory.path());
    }
}
