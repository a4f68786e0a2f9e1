//! Whatever happens to the bytes on the disk, wrong ones never leave.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};

use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use super::super::change::{Change, Lost};
use super::super::index::NAME;
use super::super::tables::{OBJECTS, SLICES, definition};
use super::*;

/// A small random number generator, so that a failure can be repeated.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// Flips, shortens, exchanges or zeroes a file.
fn damage(files: &[PathBuf], at: usize, random: &mut Random) {
    let path = &files[at];
    let length = usize::try_from(fs::metadata(path).unwrap().len()).unwrap();
    let mut content = fs::read(path).unwrap();
    if length == 0 {
        return; // shortened to nothing before, and exchanged to here
    }
    match random.below(4) {
        0 => {
            let bit = random.below(length * 8);
            content[bit / 8] ^= 1 << (bit % 8);
            fs::write(path, content).unwrap();
        }
        1 => {
            content.truncate(random.below(length));
            fs::write(path, content).unwrap();
        }
        2 => {
            let other = &files[(at + 1 + random.below(files.len() - 1)) % files.len()];
            let aside = path.with_extension("aside");
            fs::rename(path, &aside).unwrap();
            fs::rename(other, path).unwrap();
            fs::rename(aside, other).unwrap();
        }
        _ => {
            let from = random.below(length);
            let to = (from + 4096).min(length);
            let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.seek(SeekFrom::Start(from as u64)).unwrap();
            file.write_all(&vec![0; to - from]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_files_that_were_flipped_shortened_exchanged_and_zeroed_no_wrong_byte_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let count = if soak() { 10_000 } else { 1_200 };
    let length = |n: usize| match n % 10 {
        0 => 100,
        1..=7 => 5_000,
        8 => 80_000,
        _ => 300_000,
    };
    for n in 0..count {
        let name = n.to_string();
        let kept = used.put_soon(&name, &bytes(&name, length(n))).await;
        assert!(kept.is_some());
        if n % 1000 == 999 {
            used.disk.flush().await;
        }
    }
    assert!(used.disk.flush().await);
    let files = content_files(directory.path());
    assert_eq!(files.len(), count);
    let mut random = Random::new(2);
    for at in 0..count {
        damage(&files, at, &mut random);
    }

    let (mut right, mut absent) = (0, 0);
    for n in 0..count {
        let name = n.to_string();
        match used.get(&name).await {
            Some(found) => {
                assert!(found == bytes(&name, length(n)), "wrong bytes of {name}");
                right += 1;
            }
            None => absent += 1,
        }
    }
    println!("damaged {count} files: {absent} misses, {right} right, 0 wrong");
    // Zeroes over zeroes, or a file exchanged twice, is no damage.
    assert!(absent > count * 9 / 10);
    // Damaged twice is found once: the file is gone by then.
    assert!(used.counts.errors(CacheError::Corrupt) > count * 8 / 10);
    // More were found at once than the queue has places for; and a first slice that is damaged in
    // its middle leaves its row when it is looked for again.
    let settled = |disk: &Disk| (disk.usage().files, disk.usage().entries) == (right, right);
    for _ in 0..10 {
        while !used.disk.flush().await {}
        if settled(&used.disk) {
            break;
        }
        for n in 0..count {
            let found = used.get(&n.to_string()).await;
            assert!(found.is_none_or(|found| found == bytes(&n.to_string(), length(n))));
        }
    }
    assert!(settled(&used.disk), "{:?}", used.disk.usage());
    assert_eq!(content_files(directory.path()).len() as u64, right);

    // What was lost can be kept again.
    used.put("0", &bytes("0", 100)).await;
    assert_eq!(used.get("0").await, Some(bytes("0", 100)));
}

#[tokio::test]
async fn a_damaged_slice_of_a_large_object_is_removed_and_the_others_stay() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let facts = used.facts("video", 3 * SLICE_BYTES);
    for n in 0..3 {
        let content = bytes(&n.to_string(), SLICE);
        used.disk.keep(&facts, n, &slice(&content)).await.unwrap();
    }
    assert!(used.disk.flush().await);
    let rows = [
        used.row("video").await.unwrap().slice0.unwrap(),
        used.disk.slice_row(facts.number, 1).await.unwrap(),
        used.disk.slice_row(facts.number, 2).await.unwrap(),
    ];
    let content = super::super::content::Content::new(directory.path().join("content"));
    for n in [0, 1] {
        let path = content.path(&rows[n].sha256);
        let mut content = fs::read(&path).unwrap();
        content[SLICE - 1] ^= 1;
        fs::write(&path, content).unwrap();
        let at = SliceAt {
            number: facts.number,
            n: u32::try_from(n).unwrap(),
        };
        let read = |first| used.disk.read(None, &rows[n], at, first, 8);
        assert!(read(0).await.is_some(), "the first half is as it was");
        assert!(read(8).await.is_none());
        assert!(used.disk.flush().await);
        assert!(!path.exists());
    }
    assert_eq!(used.counts.errors(CacheError::Corrupt), 2);
    assert_eq!(used.disk.slice_row(facts.number, 1).await, None);
    assert!(used.disk.slice_row(facts.number, 2).await.is_some());
    // The first slice's row goes when it is looked for.
    let (_, first) = used.disk.find_with_first(SPACE, &facts.key).await.unwrap();
    assert!(first.is_none());
    assert!(used.disk.flush().await);
    assert_eq!(used.row("video").await.unwrap().slice0, None);
    assert_eq!(used.disk.usage().files, 1);
}

#[tokio::test]
async fn a_row_that_was_changed_is_absent_and_can_be_kept_again() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.put("b", b"two").await;
    used.close().await;
    // Through the library, so that its own checksums are right and only our seal is not.
    let database = Database::open(directory.path().join(NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut objects = transaction.open_table(definition(OBJECTS)).unwrap();
        let (key, mut value) = {
            let (key, value) = objects.first().unwrap().unwrap();
            (key.value().to_vec(), value.value().to_vec())
        };
        value[20] ^= 4;
        objects.insert(&*key, &*value).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let again = Used::on(directory.path()).await;
    assert_eq!(again.get("a").await, None);
    assert_eq!(again.counts.errors(CacheError::Corrupt), 1);
    assert!(again.disk.is_up());
    assert_eq!(again.get("b").await.unwrap(), b"two");
    again.put("a", b"one").await;
    assert_eq!(again.get("a").await.unwrap(), b"one");
    assert_eq!(again.disk.usage().entries, 2);
}

/// The library gives flipped bytes of its file as if they were right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_with_flipped_bytes_gives_no_wrong_byte_and_no_wrong_head() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let mut known = HashMap::new();
    for n in 0..200 {
        let name = format!("{n}");
        let facts = used.facts(&name, 2000);
        let content = bytes(&name, 2000);
        used.disk.keep(&facts, 0, &slice(&content)).await.unwrap();
        known.insert(name, (facts, content));
    }
    let video = used.facts("video", 3 * SLICE_BYTES);
    let tail = bytes("tail", 3000);
    used.disk.keep(&video, 2, &slice(&tail)).await.unwrap();
    assert!(used.disk.flush().await);
    used.close().await;
    let sound = fs::read(directory.path().join(NAME)).unwrap();

    let rounds = if soak() { 400 } else { 40 };
    let (mut found, mut absent) = (0, 0);
    for round in 0..rounds {
        let mut random = Random::new(round);
        let mut flipped = sound.clone();
        // The more rows there are, the likelier one is hit; the header is hit by the first ones.
        for _ in 0..=random.below(8) {
            let reach = if round < 8 { 320 } else { flipped.len() };
            let bit = random.below(reach * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        // A sweep would remove the files of rows that cannot be read: each round has its own.
        let copy = tempfile::tempdir().unwrap();
        link_all(directory.path(), copy.path());
        fs::remove_file(copy.path().join(NAME)).unwrap();
        fs::write(copy.path().join(NAME), &flipped).unwrap();

        let used = Used::start(settings(copy.path())).await;
        for (name, (facts, content)) in &known {
            let Some((row, first)) = used.disk.find_with_first(SPACE, &facts.key).await else {
                absent += 1;
                continue;
            };
            assert_eq!(&row.facts, facts, "round {round}, {name}");
            if let Some(first) = first {
                assert!(&first.chunks.concat() == content, "round {round}, {name}");
            }
            found += 1;
        }
        if let Some(row) = used.disk.slice_row(video.number, 2).await {
            let at = SliceAt {
                number: video.number,
                n: 2,
            };
            if let Some((_, chunks)) = used.disk.read(None, &row, at, 0, 1).await {
                assert!(chunks.concat() == tail);
            }
        }
        used.disk.close().await;
    }
    println!("{rounds} damaged indexes: {found} rows found and right, {absent} absent, 0 wrong");
    assert!(found > 0 && absent > 0);
}

/// Hard links of every file, so that removing one leaves the other.
fn link_all(from: &Path, to: &Path) {
    for path in on_disk(from).1 {
        let at = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::hard_link(&path, at).unwrap();
    }
}

#[tokio::test]
async fn an_index_that_is_no_index_is_begun_anew_and_its_files_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.close().await;
    let index = directory.path().join(NAME);
    let length = usize::try_from(fs::metadata(&index).unwrap().len()).unwrap();
    fs::write(&index, bytes("noise", length)).unwrap();

    let again = Used::start(settings(directory.path())).await;
    assert!(!again.disk.is_up());
    again.until(Disk::is_up).await;
    assert_eq!(again.get("a").await, None);
    again.until_swept().await;
    assert_eq!(content_files(directory.path()), [] as [PathBuf; 0]);
    again.put("a", b"one").await;
    assert_eq!(again.get("a").await.unwrap(), b"one");
}

#[tokio::test]
async fn a_missing_file_is_a_miss_and_its_row_goes() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    fs::remove_dir_all(directory.path().join("content")).unwrap();
    assert_eq!(used.get("a").await, None);
    assert!(used.disk.flush().await);
    assert!(used.row("a").await.is_none());
    assert_eq!(used.disk.usage().files, 0);
    assert_eq!(used.counts.errors(CacheError::Corrupt), 0);
    used.put("a", b"one").await;
    assert_eq!(used.get("a").await.unwrap(), b"one");
}

#[tokio::test]
async fn rows_of_slices_that_were_changed_are_absent() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let facts = used.facts("video", 3 * SLICE_BYTES);
    used.disk.keep(&facts, 1, &slice(b"x")).await.unwrap();
    assert!(used.disk.flush().await);
    used.close().await;
    let database = Database::open(directory.path().join(NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut slices = transaction.open_table(definition(SLICES)).unwrap();
        let key = slices.first().unwrap().unwrap().0.value().to_vec();
        slices.insert(&*key, &b"short"[..]).unwrap();
    }
    transaction.commit().unwrap();
    assert!(database.begin_read().is_ok());
    drop(database);
    let again = Used::on(directory.path()).await;
    assert_eq!(again.disk.slice_row(facts.number, 1).await, None);
    assert_eq!(again.disk.first_absent(facts.number, 1..2).await, Some(1));
    assert!(again.disk.is_up());
}

#[tokio::test]
async fn a_file_that_was_written_again_since_it_was_found_damaged_stays() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    let (facts, row) = used.put("a", b"content").await;
    let current = used.disk.current().unwrap();
    let damaged = current.content.identity(&row.sha256);
    used.put("b", b"content").await;
    let lost = Lost {
        at: SliceAt {
            number: facts.number,
            n: 0,
        },
        slice: row,
        owner: None,
        seen: damaged,
    };
    assert!(damaged.is_some());
    current.ask(&used.disk.common, Change::Lost(Box::new(lost)));
    drop(current);
    assert!(used.disk.flush().await);
    assert_eq!(used.get("a").await.unwrap(), b"content");
    assert_eq!(used.get("b").await.unwrap(), b"content");
}
