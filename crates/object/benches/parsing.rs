//! What it takes to read a key and a range, which each request does.
//!
//! Compares nothing itself; criterion does, with its last run.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use object::{ObjectKey, RangeRequest};

const PLAIN: &str = "misskey/webpublic-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9.webp";
const ESCAPED: &str = "misskey/%E5%86%99%E7%9C%9F/%E6%9C%88%20%28moon%29.webp";

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key");
    group.bench_function("parse", |bencher| {
        bencher.iter(|| ObjectKey::parse(black_box(PLAIN)));
    });
    group.bench_function("from a path", |bencher| {
        bencher.iter(|| ObjectKey::from_url_path(black_box(PLAIN)));
    });
    group.bench_function("from an escaped path", |bencher| {
        bencher.iter(|| ObjectKey::from_url_path(black_box(ESCAPED)));
    });
    group.finish();
}

fn ranges(criterion: &mut Criterion) {
    let asked = [
        RangeRequest::FromTo { first: 0, last: 1 },
        RangeRequest::From { first: 1 << 20 },
        RangeRequest::Suffix { length: 1 << 30 },
    ];
    criterion.bench_function("range of three kinds", |bencher| {
        bencher.iter(|| black_box(asked).map(|range| range.resolve(black_box(5 << 20))));
    });
}

criterion_group!(parsing, keys, ranges);
criterion_main!(parsing);
