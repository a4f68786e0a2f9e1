//! Servers that tests and the demo talk to, all over real sockets on free ports of 127.0.0.1:
//! a scriptable origin that fails on demand, an S3 server in this process, a real SeaweedFS,
//! a real PostgreSQL, and a gate before any of them that counts what passes and can be shut.
//!
//! Never part of the product: nothing here is careful about memory, and calls panic where a test
//! could only panic anyway.

mod client;
pub mod faulty;
pub mod postgres;
pub mod s3;
pub mod seaweed;
pub mod tls;
pub mod toll;

mod door;
mod port;

pub use client::{BucketClient, Keys, REGION};
pub use port::ReservedPort;
