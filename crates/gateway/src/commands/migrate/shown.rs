//! What `migrate` shows while it works: a bar on a terminal, a line now and then elsewhere.
//!
//! On standard error: standard output is for the report.

use std::io::IsTerminal;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressStyle};
use migration::{Moment, Phase, Progress};

use crate::commands::report::complain;

const BAR: &str = "{msg} {wide_bar} {percent:>3}% {bytes_per_sec} {eta}";
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(30);

/// Shows the progress until it is dropped, which is when the migration has ended.
pub(super) async fn show(progress: &Progress) {
    if std::io::stderr().is_terminal() {
        bar(progress).await;
    } else {
        lines(progress).await;
    }
}

async fn bar(progress: &Progress) {
    let bar = Bar(ProgressBar::new(0));
    let style = ProgressStyle::with_template(BAR).expect("the template is a constant");
    let mut ticks = tokio::time::interval(REDRAW);
    loop {
        ticks.tick().await;
        let now = progress.now();
        bar.0.set_message(words(&now));
        if now.phase == Phase::Copying && now.planned_bytes > 0 {
            if bar.0.length() != Some(now.planned_bytes) {
                bar.0.set_style(style.clone());
                bar.0.set_length(now.planned_bytes);
                bar.0.reset_eta();
            }
            bar.0.set_position(now.bytes.min(now.planned_bytes));
        } else {
            bar.0.tick();
        }
    }
}

/// A bar that is gone when it is dropped.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn lines(progress: &Progress) {
    let mut ticks = tokio::time::interval(LINE);
    // Nothing has happened at the first one.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        complain(&words(&progress.now()));
    }
}

fn words(now: &Moment) -> String {
    match now.phase {
        Phase::ListingTarget => format!("listing the target: {} objects", now.target_objects),
        Phase::ListingSource => format!(
            "listing the source: {} objects, {} to be copied",
            now.source_objects, now.planned_objects
        ),
        Phase::Copying => format!(
            "copying: {} of {} objects, {} moved, {} failed",
            now.done_objects,
            now.planned_objects,
            ByteSize(now.bytes).display().si(),
            now.failed
        ),
    }
}
