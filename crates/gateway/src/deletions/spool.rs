//! Keys that wait on the disk until it is known which of them are named.
//!
//! In a file without a name, so nothing is left of it, however the process ends.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use object::ObjectKey;

use crate::unnamed;

/// Keys in the order in which they came.
pub(super) struct Spool {
    file: BufWriter<File>,
}

impl Spool {
    /// In the system's directory for such files.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self::in_file(unnamed::file()?))
    }

    fn in_file(file: File) -> Self {
        Self {
            file: BufWriter::new(file),
        }
    }

    /// Adds a key of the cache space with this number.
    pub(super) fn add(&mut self, space: u16, key: &ObjectKey) -> io::Result<()> {
        let text = key.as_str().as_bytes();
        let length = u32::try_from(text.len()).map_err(io::Error::other)?;
        self.file.write_all(&space.to_be_bytes())?;
        self.file.write_all(&length.to_be_bytes())?;
        self.file.write_all(text)
    }

    /// Hands all of them out.
    pub(super) fn each(self, mut take: impl FnMut(u16, ObjectKey)) -> io::Result<()> {
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let end = file.stream_position()?;
        file.rewind()?;
        let (mut read, mut from) = (0, BufReader::new(file));
        while read < end {
            let (mut space, mut length) = ([0; 2], [0; 4]);
            from.read_exact(&mut space)?;
            from.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            let mut text = vec![0; length as usize];
            from.read_exact(&mut text)?;
            let text = String::from_utf8(text).map_err(io::Error::other)?;
            let key = ObjectKey::parse(&text).map_err(io::Error::other)?;
            take(u16::from_be_bytes(space), key);
            read += 6 + u64::from(length);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_nothing_stays() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::in_file(unnamed::below(directory.path()).unwrap());
        let keys = ["a", "//x", "写真\n1", "a"].map(|text| ObjectKey::parse(text).unwrap());
        for (space, key) in (0..).zip(&keys) {
            spool.add(space, key).unwrap();
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut seen = Vec::new();
        spool.each(|space, key| seen.push((space, key))).unwrap();
        assert_eq!(seen, (0..).zip(keys).collect::<Vec<_>>());
    }
}
