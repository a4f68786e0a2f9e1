//! One place in a row that names an object.

/// Something that a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: Box<str>,
    /// The row's id.
    pub id: Box<str>,
    /// What it names.
    pub name: Name,
    /// What the row says of the object itself; of originals only.
    pub original: Option<Original>,
}

/// How an object is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By the key in the bucket that was current when it was uploaded, prefix included.
    Key(Box<str>),
    /// By the name of a file in Misskey's own directory.
    File(Box<str>),
    /// By a URL, of anybody.
    Url(Box<str>),
}

/// What was uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// Its length in bytes.
    pub size: Option<u64>,
    /// Its MD5.
    pub md5: Option<[u8; 16]>,
}
