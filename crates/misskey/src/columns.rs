//! Which tables and columns name media.
//!
//! Pure. Versions of Misskey differ in what they have, and forks add to it, so columns are taken
//! by their endings: a name too many protects an object, a name too few deletes one.

/// The table of uploads.
pub(crate) const DRIVE: &str = "drive_file";

/// Tables that name media by URL.
pub(crate) const BY_URL: &[&str] = &[
    "emoji",
    "user",
    "avatar_decoration",
    "announcement",
    "ad",
    "meta",
];

/// The columns of [`DRIVE`] with keys.
pub(crate) const KEYS: &[&str] = &["accessKey", "thumbnailAccessKey", "webpublicAccessKey"];

/// Columns that end like media and are pages.
const PAGES: &[&str] = &[
    "tosUrl",
    "privacyPolicyUrl",
    "inquiryUrl",
    "impressumUrl",
    "repositoryUrl",
    "feedbackUrl",
    "ToSUrl",
    "objectStorageBaseUrl",
    "swPublicKeyUrl",
];

/// Whether a column of one of the tables names media by URL.
pub(crate) fn names_media(column: &str) -> bool {
    (column == "url" || column.ends_with("Url")) && !PAGES.contains(&column)
}

/// The query for columns of a table, in their order, after the row's id. They are names of the
/// database's own catalogue, quoted all the same.
pub(crate) fn query(table: &str, columns: &[String], more: &[&str]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| quote(column)).collect();
    let texts = quoted.iter().map(|column| format!("{column}::text"));
    let selected: Vec<_> = texts.chain(more.iter().map(ToString::to_string)).collect();
    let any: Vec<_> = quoted
        .iter()
        .map(|column| format!("{column} IS NOT NULL"))
        .collect();
    format!(
        "SELECT id::text, {} FROM {} WHERE {}",
        selected.join(", "),
        quote(table),
        any.join(" OR ")
    )
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_is_told_from_pages() {
        for column in ["url", "avatarUrl", "app192IconUrl", "serverErrorImageUrl"] {
            assert!(names_media(column), "{column}");
        }
        for column in [
            "id",
            "tosUrl",
            "urlPreviewEnabled",
            "curl",
            "objectStorageBaseUrl",
        ] {
            assert!(!names_media(column), "{column}");
        }
    }

    #[test]
    fn names_are_quoted() {
        let columns = ["avatarUrl".to_owned(), "odd\"name".to_owned()];
        assert_eq!(
            query("user", &columns, &["size::int8"]),
            "SELECT id::text, \"avatarUrl\"::text, \"odd\"\"name\"::text, size::int8 FROM \"user\" \
             WHERE \"avatarUrl\" IS NOT NULL OR \"odd\"\"name\" IS NOT NULL"
        );
    }
}
