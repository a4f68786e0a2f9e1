//! What meisskey's documents name, from a file that `mongoexport` has written.
//!
//! One document at a time, as lines or as one array. A file that was deleted stays there as a
//! document with `metadata.deletedAt`, and names nothing any more. In which of the two buckets
//! (`drive`, `remoteDrive`) an object lies is no business of its name.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::de::{Deserializer as _, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::columns::names_media;
use crate::{Name, Original, Reference};

/// The collection of uploads.
const FILES: &str = "driveFiles.files";
/// A document of any other one.
const OTHER: &str = "document";
/// The fields with keys.
const KEYS: [&str; 3] = ["key", "thumbnailKey", "webpublicKey"];

/// Why a file says nothing of meisskey's files.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A document is none.
    #[error("document {number}: {what}; write it with mongoexport, as lines or with --jsonArray")]
    Document {
        /// Which, from 1.
        number: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Hands out everything that the documents name, in their order. Holds one document at a time.
/// Returns how many uploads there are, deleted ones left out.
///
/// # Errors
/// What was handed out until then is not all, and nothing must be concluded from it.
pub fn references(file: &Path, take: impl FnMut(Reference)) -> Result<u64, ExportError> {
    let mut from = BufReader::new(File::open(file)?);
    let mut reading = Reading {
        number: 0,
        uploads: 0,
        take,
    };
    if first_byte(&mut from)? == Some(b'[') {
        let mut json = serde_json::Deserializer::from_reader(from);
        let whole = json.deserialize_seq(&mut reading).and_then(|()| json.end());
        whole.map_err(|error| reading.wrong(error))?;
    } else {
        for document in serde_json::Deserializer::from_reader(from).into_iter::<Document>() {
            match document {
                Ok(document) => reading.document(&document),
                Err(error) => return Err(reading.wrong(error)),
            }
        }
    }
    Ok(reading.uploads)
}

/// The first byte that is no white space.
fn first_byte(from: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let buffer = from.fill_buf()?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace());
        let blank = blank.count();
        if let Some(byte) = buffer.get(blank) {
            let byte = *byte;
            from.consume(blank);
            return Ok(Some(byte));
        }
        from.consume(blank);
    }
}

/// What of a document matters.
type Document = Map<String, Value>;

struct Reading<T> {
    number: u64,
    uploads: u64,
    take: T,
}

impl<T: FnMut(Reference)> Reading<T> {
    fn wrong(&self, error: serde_json::Error) -> ExportError {
        if error.is_io() {
            return ExportError::Io(error.into());
        }
        ExportError::Document {
            number: self.number + 1,
            what: error.to_string(),
        }
    }

    fn document(&mut self, document: &Document) {
        self.number += 1;
        let metadata = document.get("metadata").and_then(Value::as_object);
        let is_deleted = |of: &Document| of.get("deletedAt").is_some_and(|at| !at.is_null());
        if is_deleted(document) || metadata.is_some_and(is_deleted) {
            return;
        }
        let id = id(document);
        let Some(metadata) = metadata else {
            return self.urls(OTHER, &id, document);
        };
        self.uploads += 1;
        self.keys(&id, document, metadata);
        self.urls(FILES, &id, metadata);
    }

    fn keys(&mut self, id: &str, document: &Document, metadata: &Document) {
        let Some(props) = metadata.get("storageProps").and_then(Value::as_object) else {
            return;
        };
        let is_file = metadata.get("fileSystem").and_then(Value::as_bool) == Some(true)
            || metadata.get("storage").and_then(Value::as_str) == Some("fs");
        for field in KEYS {
            let Some(key) = text(props, field) else {
                continue;
            };
            (self.take)(Reference {
                table: FILES,
                column: format!("metadata.storageProps.{field}").into(),
                id: id.into(),
                name: if is_file {
                    Name::File(key.into())
                } else {
                    Name::Key(key.into())
                },
                original: (field == KEYS[0]).then(|| original(document)),
            });
        }
    }

    /// Versions before there were keys name their objects by these alone.
    fn urls(&mut self, table: &'static str, id: &str, of: &Document) {
        for field in of.keys().filter(|field| names_media(field)) {
            if let Some(url) = text(of, field) {
                (self.take)(Reference {
                    table,
                    column: field.as_str().into(),
                    id: id.into(),
                    name: Name::Url(url.into()),
                    original: None,
                });
            }
        }
    }
}

impl<'de, T: FnMut(Reference)> Visitor<'de> for &mut Reading<T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        while let Some(document) = all.next_element::<Document>()? {
            self.document(&document);
        }
        Ok(())
    }
}

fn text<'d>(of: &'d Document, field: &str) -> Option<&'d str> {
    let text = of.get(field)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// `{"$oid": "…"}`, or a plain text.
fn id(document: &Document) -> String {
    let id = document.get("_id");
    let plain = id.and_then(Value::as_str);
    let object = id.and_then(|id| id.get("$oid")?.as_str());
    plain.or(object).unwrap_or_default().to_owned()
}

fn original(document: &Document) -> Original {
    let size = document.get("length");
    let plain = size.and_then(Value::as_u64);
    // `{"$numberInt": "5"}`, `{"$numberLong": "5"}`
    let canonical = size.and_then(Value::as_object);
    let canonical = canonical.and_then(|number| number.values().next()?.as_str()?.parse().ok());
    let md5 = document.get("md5").and_then(Value::as_str);
    Original {
        size: plain.or(canonical),
        md5: md5.and_then(|text| {
            let mut md5 = [0; 16];
            hex::decode_to_slice(text, &mut md5).ok().map(|()| md5)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const DOCUMENTS: [&str; 5] = [
        r#"{"_id":{"$oid":"5d1"},"filename":"a.png","length":{"$numberLong":"5"},"md5":"0cc175b9c0f1b6a831c399e269772661","metadata":{"storage":"minio","storageProps":{"key":"m/a.png","thumbnailKey":"m/thumbnail-b.webp","webpublicKey":null},"url":"https://m.example/m/a.png","uri":"https://remote.example/a","deletedAt":null}}"#,
        r#"{"_id":"gone","metadata":{"storageProps":{"key":"m/gone.png"},"url":"https://m.example/m/gone.png","deletedAt":{"$date":"2024-01-01T00:00:00Z"}}}"#,
        r#"{"_id":"disk","length":7,"metadata":{"fileSystem":true,"storageProps":{"key":"c"}}}"#,
        r#"{"_id":"early","metadata":{"storage":"minio","storageProps":{"id":"x"},"thumbnailUrl":"https://m.example/m/x-thumbnail"}}"#,
        r#"{"_id":"emoji","name":"blob","url":"https://m.example/m/e.png","aliases":[]}"#,
    ];

    fn read(text: &str) -> Result<(u64, Vec<Reference>), ExportError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut all = Vec::new();
        let uploads = references(file.path(), |one| all.push(one))?;
        Ok((uploads, all))
    }

    #[test]
    fn what_was_deleted_names_nothing_and_everything_else_names_all_it_has() {
        let lines = DOCUMENTS.join("\n") + "\n";
        let array = format!(" [{}]\n", DOCUMENTS.join(",\n"));
        for text in [lines, array] {
            let (uploads, all) = read(&text).unwrap();
            assert_eq!(uploads, 3);
            let names: Vec<_> = all.iter().map(|one| one.name.clone()).collect();
            assert_eq!(
                names,
                [
                    Name::Key("m/a.png".into()),
                    Name::Key("m/thumbnail-b.webp".into()),
                    Name::Url("https://m.example/m/a.png".into()),
                    Name::File("c".into()),
                    Name::Url("https://m.example/m/x-thumbnail".into()),
                    Name::Url("https://m.example/m/e.png".into()),
                ]
            );
            assert_eq!((all[0].table, &*all[0].id), (FILES, "5d1"));
            let original = all[0].original.unwrap();
            assert_eq!((original.size, original.md5.is_some()), (Some(5), true));
            assert_eq!(all[3].original.unwrap().size, Some(7));
        }
    }

    #[test]
    fn half_an_export_is_none_and_the_document_is_named() {
        for (text, number) in [
            (r#"{"_id":"a"}{"_id":"#, 2),
            (r#"[{"_id":"a"},"#, 2),
            ("misskey/a.png\n", 1),
            (r#"["a"]"#, 1),
            (r#"[{"_id":"a"}] {"#, 2),
        ] {
            match read(text) {
                Err(ExportError::Document { number: at, .. }) => assert_eq!(at, number, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert_eq!(read("").unwrap().0, 0);
        assert_eq!(read("[]").unwrap().0, 0);
    }
}
