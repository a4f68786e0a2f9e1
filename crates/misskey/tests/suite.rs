//! What is read from a real database with Misskey's tables.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use misskey::{Connection, Database, DatabaseError, Name, Reference};
use test_servers::postgres::{OWNER, PASSWORD, Postgres};

/// The tables of a current version, as far as they concern media.
const TABLES: &str = r#"
CREATE TABLE drive_file (
    id varchar(32) PRIMARY KEY, "userHost" varchar(512), md5 varchar(32) NOT NULL,
    name varchar(256) NOT NULL, type varchar(128) NOT NULL, size integer NOT NULL,
    "storedInternal" boolean NOT NULL, url varchar(1024) NOT NULL, "thumbnailUrl" varchar(1024),
    "webpublicUrl" varchar(1024), "accessKey" varchar(256) UNIQUE,
    "thumbnailAccessKey" varchar(256) UNIQUE, "webpublicAccessKey" varchar(256) UNIQUE,
    uri varchar(1024), "isLink" boolean NOT NULL DEFAULT false);
CREATE TABLE emoji (id varchar(32) PRIMARY KEY, name varchar(128), host varchar(512),
    "originalUrl" varchar(1024), "publicUrl" varchar(1024) NOT NULL DEFAULT '');
CREATE TABLE "user" (id varchar(32) PRIMARY KEY, "avatarUrl" varchar(1024),
    "bannerUrl" varchar(1024));
CREATE TABLE avatar_decoration (id varchar(32) PRIMARY KEY, url varchar(1024) NOT NULL);
CREATE TABLE announcement (id varchar(32) PRIMARY KEY, "imageUrl" varchar(1024));
CREATE TABLE ad (id varchar(32) PRIMARY KEY, url varchar(1024), "imageUrl" varchar(1024));
CREATE TABLE meta (id varchar(32) PRIMARY KEY, "iconUrl" varchar(1024), "tosUrl" varchar(1024),
    "app192IconUrl" varchar(1024));
INSERT INTO drive_file VALUES
    ('f1', NULL, '0cc175b9c0f1b6a831c399e269772661', '写真 1.png', 'image/png', 1, false,
     'https://media.example/m/a.png', 'https://media.example/m/thumbnail-b.webp', NULL,
     'm/a.png', 'm/thumbnail-b.webp', NULL, NULL, false),
    ('f2', NULL, 'of no use', 'b', 'image/png', 3000000, true, 'https://a/files/c', NULL, NULL,
     'c', NULL, NULL, NULL, false),
    ('f3', 'remote.example', '0cc175b9c0f1b6a831c399e269772661', 'd', 'image/png', 0, false,
     'https://remote.example/d', NULL, NULL, NULL, NULL, NULL, 'https://remote.example/d', true),
    ('f4', NULL, '0cc175b9c0f1b6a831c399e269772661', 'e', 'image/png', 1, false, 'https://a/e',
     NULL, NULL, '/leading', NULL, 'null/webpublic-f', NULL, false);
INSERT INTO emoji VALUES ('e1', 'blob', NULL, 'https://media.example/m/blob.png', '');
INSERT INTO "user" VALUES ('u1', 'https://media.example/m/avatar.webp', NULL), ('u2', NULL, NULL);
INSERT INTO avatar_decoration VALUES ('d1', 'https://media.example/m/hat.png');
INSERT INTO announcement VALUES ('n1', NULL);
INSERT INTO ad VALUES ('a1', 'https://shop.example/', 'https://media.example/m/ad.png');
INSERT INTO meta VALUES ('x', 'https://media.example/m/icon.png', 'https://a/tos', NULL);
"#;

async fn started(sql: &str) -> Postgres {
    let postgres = Postgres::start().await.unwrap();
    postgres.run(sql).unwrap();
    postgres
}

fn as_owner(postgres: &Postgres) -> Connection {
    let (port, name) = (postgres.port(), postgres.database());
    let file = format!(
        "url: https://example.com/\ndb:\n  host: 127.0.0.1\n  port: {port}\n  db: {name}\n  \
         user: {OWNER}\n  pass: '{PASSWORD}'\n"
    );
    Connection::of_misskey_config(&file).unwrap()
}

async fn read(connection: &Connection) -> Result<(u64, Vec<Reference>), DatabaseError> {
    let mut database = Database::connect(connection).await?;
    let mut found = Vec::new();
    let rows = database
        .references(|reference| found.push(reference))
        .await?;
    database.close().await;
    Ok((rows, found))
}

fn told(reference: &Reference) -> String {
    let (how, name) = match &reference.name {
        Name::Key(key) => ("key", key),
        Name::File(file) => ("file", file),
        Name::Url(url) => ("url", url),
    };
    let Reference {
        table, column, id, ..
    } = reference;
    format!("{table} {id} {column}: {how} {name}")
}

/// One server for everything, because each start takes seconds.
#[tokio::test]
async fn every_row_that_names_media_is_read_and_nothing_else_is_needed() {
    let postgres = started(TABLES).await;
    let (rows, found) = read(&as_owner(&postgres)).await.unwrap();
    assert_eq!(rows, 3, "the link to a remote file names no object");
    let all: BTreeSet<_> = found.iter().map(told).collect();
    let expected = [
        "ad a1 imageUrl: url https://media.example/m/ad.png",
        "ad a1 url: url https://shop.example/",
        "avatar_decoration d1 url: url https://media.example/m/hat.png",
        "drive_file f1 accessKey: key m/a.png",
        "drive_file f1 thumbnailAccessKey: key m/thumbnail-b.webp",
        "drive_file f2 accessKey: file c",
        "drive_file f4 accessKey: key /leading",
        "drive_file f4 webpublicAccessKey: key null/webpublic-f",
        "emoji e1 originalUrl: url https://media.example/m/blob.png",
        "meta x iconUrl: url https://media.example/m/icon.png",
        "user u1 avatarUrl: url https://media.example/m/avatar.webp",
    ];
    assert_eq!(all, expected.map(str::to_owned).into_iter().collect());
    assert_eq!(found.len(), expected.len());
    let of = |name: &str| {
        let found = found.iter().find(|found| told(found).contains(name));
        found.unwrap().original
    };
    let original = of("m/a.png").unwrap();
    assert_eq!(original.size, Some(1));
    assert_eq!(original.md5.map(|md5| md5[0]), Some(0x0c));
    assert_eq!(of("file c").unwrap().md5, None);
    assert_eq!(of("thumbnail-b"), None);

    a_role_that_may_not_read_is_told_what_to_grant(&postgres).await;
    a_wrong_password_or_database_is_said_without_the_password(&postgres).await;
    rows_of_one_moment_are_read_although_others_change_them(&postgres).await;
    older_tables_are_read_too(&postgres).await;
}

async fn a_role_that_may_not_read_is_told_what_to_grant(postgres: &Postgres) {
    postgres
        .run("CREATE ROLE reader LOGIN PASSWORD 'reads'")
        .unwrap();
    let url = format!(
        "postgres://reader:reads@127.0.0.1:{}/{}",
        postgres.port(),
        postgres.database()
    );
    let reader = Connection::of_url(&url).unwrap();
    let error = read(&reader).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Denied { .. }), "{error}");
    let grant = "GRANT SELECT ON drive_file, emoji, \"user\", avatar_decoration, announcement, \
        ad, meta TO";
    assert!(error.to_string().contains(grant), "{error}");
    postgres.run(&format!("{grant} reader")).unwrap();
    assert_eq!(read(&reader).await.unwrap().0, 3);
}

async fn a_wrong_password_or_database_is_said_without_the_password(postgres: &Postgres) {
    let port = postgres.port();
    let url = |password: &str, name: &str| {
        let text = format!("postgres://reader:{password}@127.0.0.1:{port}/{name}");
        Connection::of_url(&text).unwrap()
    };
    for connection in [
        url("s3cret", postgres.database()),
        url("reads", "elsewhere"),
    ] {
        let error = read(&connection).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Connect { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    postgres.run("CREATE SCHEMA empty").unwrap();
    let text = format!(
        "host=127.0.0.1 port={port} user=reader password=reads dbname={} \
         options='-c search_path=empty'",
        postgres.database()
    );
    let error = read(&Connection::of_url(&text).unwrap()).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Foreign { .. }), "{error}");
}

async fn rows_of_one_moment_are_read_although_others_change_them(postgres: &Postgres) {
    let mut database = Database::connect(&as_owner(postgres)).await.unwrap();
    let mut seen = BTreeSet::new();
    let rows = database
        .references(|reference| {
            if seen.is_empty() {
                // Uploads are read first; what comes later is of the same moment all the same.
                postgres
                    .run("DELETE FROM meta; INSERT INTO ad VALUES ('a2', NULL, 'https://late/')")
                    .unwrap();
            }
            seen.insert(told(&reference));
        })
        .await
        .unwrap();
    assert_eq!(rows, 3);
    assert!(seen.contains("meta x iconUrl: url https://media.example/m/icon.png"));
    assert!(!seen.iter().any(|told| told.contains("https://late/")));
}

async fn older_tables_are_read_too(postgres: &Postgres) {
    postgres
        .run(
            r#"DROP TABLE avatar_decoration, ad, meta;
            ALTER TABLE drive_file DROP COLUMN "webpublicAccessKey";
            ALTER TABLE emoji RENAME COLUMN "originalUrl" TO url"#,
        )
        .unwrap();
    let (rows, found) = read(&as_owner(postgres)).await.unwrap();
    assert_eq!(rows, 3);
    let emoji = found
        .iter()
        .map(told)
        .find(|told| told.starts_with("emoji"));
    assert_eq!(
        emoji.unwrap(),
        "emoji e1 url: url https://media.example/m/blob.png"
    );
}
