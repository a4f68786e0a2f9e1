//! What is told of a file: from what was written beside it, else from its bytes.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object::{Digest, ObjectHead};
use origin_resolver::Part;
use rustix::fs::{CWD, Mode, XattrFlags, mkfifoat, setxattr};
use rustix::io::Errno;

use super::Directory;
use crate::fixture::{Fixture, found};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

async fn head(directory: &Directory, key: &str) -> ObjectHead {
    found(&*directory.origin(), key, Part::Head).await.head
}

#[tokio::test]
async fn a_sidecar_gives_everything_a_bucket_would_have_kept() {
    let directory = Directory::new();
    directory.write("misskey/a.bin", "abc");
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    directory.write(
        "misskey/.media-gateway-meta/a.bin.json",
        format!(
            r#"{{"content_type": "audio/ogg", "content_disposition": "inline; filename=\"猫.ogg\"",
                "content_encoding": "gzip", "content_language": "ja", "length": 3,
                "last_modified": "2019-07-08T00:00:00Z", "sha256": "{sha256}"}}"#
        ),
    );
    let head = head(&directory, "misskey/a.bin").await;
    assert_eq!(head.content_type.as_deref(), Some("audio/ogg"));
    assert_eq!(
        head.content_disposition.as_deref(),
        Some("inline; filename=\"猫.ogg\"")
    );
    assert_eq!(head.content_encoding.as_deref(), Some("gzip"));
    assert_eq!(head.content_language.as_deref(), Some("ja"));
    let modified = httpdate::parse_http_date("Mon, 08 Jul 2019 00:00:00 GMT").unwrap();
    assert_eq!(head.last_modified, Some(modified));
    let mut digest = [0; 32];
    hex::decode_to_slice(sha256, &mut digest).unwrap();
    assert_eq!(head.proofs.own, Some(Digest(digest)));

    // Written again since, with as many bytes: the digest is of others.
    directory.write("misskey/a.bin", "xyz");
    let head = self::head(&directory, "misskey/a.bin").await;
    assert_eq!(head.proofs.own, None);
    assert_eq!(head.content_type.as_deref(), Some("audio/ogg"));
}

#[tokio::test]
async fn a_sidecar_of_a_key_with_a_long_name_or_others_below_it_is_found() {
    let directory = Directory::new();
    let json = r#"{"content_type": "image/x-mine"}"#;
    let long = "x".repeat(253);
    directory.write(&long, PNG);
    let hashed = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&long));
    directory.write(
        &format!(".media-gateway-meta/.media-gateway-long-{hashed}.json"),
        json,
    );
    directory.write("a/.media-gateway-self", PNG);
    directory.write("a/.media-gateway-meta/.media-gateway-self.json", json);
    for key in [&*long, "a"] {
        let head = head(&directory, key).await;
        assert_eq!(head.content_type.as_deref(), Some("image/x-mine"));
    }
}

#[tokio::test]
async fn a_sidecar_that_cannot_be_read_costs_nothing_but_itself() {
    let directory = Directory::new();
    directory.write("damaged", PNG);
    directory.write(".media-gateway-meta/damaged.json", "{\"content_type\": ");
    directory.write("huge", PNG);
    directory.write(
        ".media-gateway-meta/huge.json",
        format!(r#"{{"content_type": "a/b", "x": "{}"}}"#, "x".repeat(65536)),
    );
    directory.write("splitting", PNG);
    directory.write(
        ".media-gateway-meta/splitting.json",
        r#"{"content_type": "image/png\r\nSet-Cookie: a=b", "content_disposition": "a\u0000b"}"#,
    );
    directory.write("fifo", PNG);
    let fifo = directory.path().join(".media-gateway-meta/fifo.json");
    mkfifoat(CWD, fifo, Mode::RUSR | Mode::WUSR).unwrap();
    for key in ["damaged", "huge", "splitting", "fifo"] {
        let head = head(&directory, key).await;
        assert_eq!(head.content_type.as_deref(), Some("image/png"), "{key}");
        assert_eq!(head.content_disposition, None);
    }
}

#[tokio::test]
async fn an_extended_attribute_comes_before_the_sidecar() {
    // Beside the build's own files: not every /tmp keeps attributes.
    let outside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let directory = Directory::below(outside);
    directory.write("a.jpg", PNG);
    directory.write(
        ".media-gateway-meta/a.jpg.json",
        r#"{"content_type": "image/sidecar", "content_language": "ja"}"#,
    );
    let set = |name: &str, value: &[u8]| {
        let path = directory.path().join("a.jpg");
        setxattr(path, name, value, XattrFlags::empty())
    };
    let supported = match set("user.mime_type", b"image/attribute") {
        Ok(()) => true,
        Err(Errno::NOTSUP) => false,
        Err(other) => panic!("{other}"),
    };
    let head = head(&directory, "a.jpg").await;
    assert_eq!(head.content_language.as_deref(), Some("ja"));
    let expected = if supported {
        "image/attribute"
    } else {
        "image/sidecar"
    };
    assert_eq!(head.content_type.as_deref(), Some(expected));

    if supported {
        set("user.media-gateway.meta", br#"{"content_language": "en"}"#).unwrap();
        let head = self::head(&directory, "a.jpg").await;
        assert_eq!(head.content_language.as_deref(), Some("en"));
        assert_eq!(head.content_type.as_deref(), Some("image/attribute"));
    }
}

#[tokio::test]
async fn without_a_note_the_bytes_decide_and_the_name_only_helps() {
    let directory = Directory::new();
    for (key, bytes, expected) in [
        ("0b3c", PNG, Some("image/png")),
        ("a.html", PNG, Some("image/png")),
        ("style.css", b"p { }", Some("text/css")),
        ("0b3d", b"\0\x01\x02", None),
        ("empty.webp", b"", Some("image/webp")),
    ] {
        directory.write(key, bytes);
        let head = head(&directory, key).await;
        assert_eq!(head.content_type.as_deref(), expected, "{key}");
    }
    // The place of a long name has no extension; the key has.
    let long = format!("{}.css", "写".repeat(100));
    directory.put(&long, "p { }".into(), None).await;
    let head = head(&directory, &long).await;
    assert_eq!(head.content_type.as_deref(), Some("text/css"));
}

#[tokio::test]
async fn a_file_written_just_now_is_served_without_a_validator() {
    let directory = Directory::new();
    fs::write(directory.path().join("growing"), "x").unwrap();
    assert_eq!(head(&directory, "growing").await.validator, None);
}

#[tokio::test]
async fn a_time_that_no_header_can_spell_is_left_out() {
    let directory = Directory::new();
    directory.write("old", "x");
    let file = fs::File::open(directory.path().join("old")).unwrap();
    file.set_modified(UNIX_EPOCH - Duration::from_hours(24))
        .unwrap();
    assert_eq!(head(&directory, "old").await.last_modified, None);

    let then = SystemTime::now() - Duration::from_millis(3_600_500);
    file.set_modified(then).unwrap();
    let told = head(&directory, "old").await.last_modified.unwrap();
    assert_eq!(told.duration_since(UNIX_EPOCH).unwrap().subsec_nanos(), 0);
}
