//! The bytes of format 1. DISK-FORMAT.md describes them; whoever changes one changes the format.

use std::fs;
use std::time::{Duration, SystemTime};

use object::{Digest, Md5Etag, Proofs, Validator};
use proptest::prelude::*;
use redb::Database;

use super::super::coding::{Out, sealed};
use super::super::content::{Content, hex};
use super::super::facts::{Class, Purge};
use super::super::index::NAME;
use super::super::lock::FORMAT;
use super::super::meter::Books;
use super::super::rows::{
    decode_purge, decode_row, decode_slice, encode_purge, encode_row, encode_slice,
};
use super::super::tables::{
    META, META_FORMAT, Place, definition, object_key, read_object_key, read_ref_key,
    read_slice_key, ref_key, slice_key,
};
use super::*;

fn golden_slice() -> SliceRow {
    SliceRow {
        sha256: [0xab; 32],
        length: 65_537,
        allocated: 69_632,
        xxh3: [0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00].into(),
    }
}

fn golden_row() -> Row {
    let mut facts = facts(0x0102_0304, "a/b", 65_537);
    facts.etag = Some("\"e\"".into());
    facts.head.content_disposition = Some("inline".into());
    facts.head.last_modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000));
    facts.head.validator = Some(Validator::Strong("\"s\"".into()));
    facts.head.proofs = Proofs {
        checksum: Some(Digest([1; 32])),
        md5: Some(Md5Etag {
            digest: [2; 16],
            parts: Some(3),
        }),
        own: None,
    };
    Row {
        facts,
        class: Class::Again,
        hour: 472_222,
        proofs: vec![("old".into(), Validator::Weak("\"w\"".into()))],
        gone: Some(1_700_000_001),
        slice0: Some(golden_slice()),
    }
}

#[test]
fn every_row_has_the_bytes_that_it_always_had() {
    let slice = concat!(
        "abababababababababababababababababababababababababababababababab",
        "00010001",
        "00011000",
        "1122334455667788",
        "99aabbccddeeff00",
    );
    assert_eq!(hex(&encode_slice(&golden_slice())), slice);
    let row = concat!(
        "0000000001020304",   // number
        "0000000000010001",   // total
        "01",                 // class
        "0007349e",           // hour
        "000000006553f100",   // stored
        "000000006553f100",   // checked
        "01000000006553f101", // gone
        "000763757272656e74", // source
        "010003226522",       // entity tag
        "010000000000010001", // head: length
        "01000a696d6167652f77656270",
        "010006696e6c696e65",
        "00",
        "00",
        "01000000005f5e1000", // last modified
        "01000003227322",     // validator
        "010101010101010101010101010101010101010101010101010101010101010101",
        "0102020202020202020202020202020202",
        "0100000003",
        "00",
        "0100036f6c64010003227722", // proofs
        "01",
    );
    let row = format!("{row}{slice}");
    assert_eq!(hex(&encode_row(&golden_row()).unwrap()), row);
    let prefix = Purge::Prefix {
        space: SPACE.into(),
        prefix: "a/".into(),
    };
    assert_eq!(
        hex(&encode_purge(&prefix, 7).unwrap()),
        "02000000070002612f"
    );
    let books = Books {
        entries: 1,
        orphans: 2,
        files: 3,
        bytes: 4,
        by_class: [5, 6, 7],
    };
    let numbers = (1_u64..=7).flat_map(u64::to_be_bytes);
    assert_eq!(books.encode(), numbers.collect::<Vec<u8>>());
}

#[test]
fn every_key_has_the_bytes_that_it_always_had() {
    assert_eq!(hex(&object_key(7, &key("a/b"))), "00000007612f62");
    assert_eq!(hex(&slice_key(1, 2)), "000000000000000100000002");
    let digest = "ab".repeat(32);
    assert_eq!(
        hex(&ref_key(&[0xab; 32], 1, 2)),
        format!("{digest}000000000000000100000002")
    );
    let place = Place {
        class: Class::Orphan,
        hour: 3,
        number: 4,
    };
    assert_eq!(hex(&place.key()), "02000000030000000000000004");
}

#[test]
fn seals_are_what_they_always_were() {
    let seal = sealed("objects", b"key", b"value".to_vec());
    assert_eq!(hex(&seal), "76616c75658bb7eaea729dedb1");
}

#[test]
fn a_file_lies_where_it_always_lay() {
    let directory = tempfile::tempdir().unwrap();
    let content = Content::new(directory.path().to_owned());
    let (sha256, _) = content.write(slice(b"hello world").chunks()).unwrap();
    let path = directory
        .path()
        .join("content-v2/sha256/b9/4d")
        .join("27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
    assert_eq!(content.path(&sha256), path);
    assert_eq!(fs::read(path).unwrap(), b"hello world");
    let found = content.list(0xb9, 0x4d).unwrap();
    assert_eq!(found[0].sha256, sha256);
    assert_eq!(content.seconds(0xb9).unwrap(), [0x4d]);
    assert_eq!(content.seconds(0xb8).unwrap(), [] as [u8; 0]);
}

fn read_all(bytes: &[u8]) {
    let space: Arc<str> = SPACE.into();
    decode_row(&space, &key("a"), bytes);
    decode_slice(bytes);
    decode_purge(bytes, |_| Some(Arc::clone(&space)));
    Books::decode(bytes);
    Place::read(bytes);
    read_object_key(bytes);
    read_ref_key(bytes);
    read_slice_key(bytes);
}

proptest! {
    #[test]
    fn whatever_bytes_are_read_nothing_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        read_all(&bytes);
    }

    #[test]
    fn a_row_that_was_changed_or_cut_is_read_without_a_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut row = encode_row(&golden_row()).unwrap();
        let at = at.index(row.len());
        row[at] = byte;
        read_all(&row);
        row.truncate(cut.index(row.len()));
        read_all(&row);
    }

    #[test]
    fn rows_survive(
        number in any::<u64>(),
        total in any::<u64>(),
        class in 0_usize..3,
        hour in any::<u32>(),
        text in "\\PC{0,300}",
        gone in prop::option::of(any::<u64>()),
        proofs in 0_usize..5,
        length in prop::option::of(0_u32..=1024 * 1024),
    ) {
        let mut row = golden_row();
        row.facts.number = number;
        row.facts.total = total;
        row.class = Class::ALL[class];
        row.hour = hour;
        row.facts.source = text.as_str().into();
        row.facts.head.content_disposition = Some(text.as_str().into());
        row.gone = gone;
        row.proofs = vec![(text.as_str().into(), Validator::Weak(text.as_str().into())); proofs];
        row.slice0 = length.map(|length| SliceRow {
            length,
            xxh3: vec![7; (length as usize).div_ceil(CHUNK)].into(),
            ..golden_slice()
        });
        let bytes = encode_row(&row).unwrap();
        prop_assert_eq!(decode_row(&row.space, &row.key, &bytes), Some(row));
    }
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = on_disk(directory).1.into_iter();
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

async fn is_refused_and_untouched(directory: &Path) {
    let before = contents(directory);
    let used = Used::start(settings(directory)).await;
    assert!(!used.disk.is_up());
    let error = used.disk.first_attempt().await.unwrap_err().to_string();
    assert!(
        error.contains("format 2") || error.contains("is not of"),
        "{error}"
    );
    assert!(
        error.contains("run the version of media-gateway that wrote it"),
        "{error}"
    );
    assert_eq!(used.put_soon("b", b"two").await, None);
    used.close().await;
    assert!(contents(directory) == before, "files were changed");
}

#[tokio::test]
async fn a_newer_format_is_left_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let used = Used::on(directory.path()).await;
    used.put("a", b"one").await;
    used.close().await;
    let lock = directory.path().join("lock");
    let ours = fs::read_to_string(&lock).unwrap();
    assert!(
        ours.starts_with("media-gateway disk cache, format 1\n"),
        "{ours}"
    );

    fs::write(&lock, ours.replace("format 1", "format 2")).unwrap();
    is_refused_and_untouched(directory.path()).await;
    fs::write(&lock, "something else\n").unwrap();
    is_refused_and_untouched(directory.path()).await;
    fs::write(&lock, ours).unwrap();

    // Where only the index says it.
    let database = Database::open(directory.path().join(NAME)).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(definition(META)).unwrap();
        let mut out = Out::default();
        out.u64(FORMAT + 1);
        let value = sealed(META, META_FORMAT, out.finish().unwrap());
        meta.insert(META_FORMAT, &*value).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let index = fs::read(directory.path().join(NAME)).unwrap();
    let used = Used::start(settings(directory.path())).await;
    let error = used.disk.first_attempt().await.unwrap_err().to_string();
    assert!(error.contains("its index has format 2"), "{error}");
    used.close().await;
    assert!(fs::read(directory.path().join(NAME)).unwrap() == index);
    assert_eq!(content_files(directory.path()).len(), 1);
}
