//! The SHA-256 of a file of any length.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

pub(super) fn digest(file: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut sum) = (File::open(file)?, Sha256::new());
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            return Ok(sum.finalize().into());
        }
        sum.update(&chunk[..length]);
    }
}
