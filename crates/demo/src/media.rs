//! The files that are served, and where each of them lives.

use crate::origins::Place;

/// The one prefix of every key.
pub(crate) const PREFIX: &str = "media/";

/// A file of the demonstration.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
    /// In the order in which the gateway asks them.
    pub(crate) homes: &'static [Place],
}

impl File {
    pub(crate) fn key(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// Each origin has files that no other has; two files have a second home.
pub(crate) const FILES: &[File] = &[
    File {
        name: "dawn.webp",
        content_type: "image/webp",
        bytes: include_bytes!("../media/dawn.webp"),
        homes: &[Place::Current, Place::Old],
    },
    File {
        name: "moon.svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../media/moon.svg"),
        homes: &[Place::Current],
    },
    File {
        name: "noon.avif",
        content_type: "image/avif",
        bytes: include_bytes!("../media/noon.avif"),
        homes: &[Place::Old],
    },
    File {
        name: "day.mp4",
        content_type: "video/mp4",
        bytes: include_bytes!("../media/day.mp4"),
        homes: &[Place::Old, Place::Disk],
    },
    File {
        name: "dusk.jpg",
        content_type: "image/jpeg",
        bytes: include_bytes!("../media/dusk.jpg"),
        homes: &[Place::Disk],
    },
    File {
        name: "night.png",
        content_type: "image/png",
        bytes: include_bytes!("../media/night.png"),
        homes: &[Place::Disk],
    },
];
