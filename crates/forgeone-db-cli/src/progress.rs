//! A bar for what takes more than a second, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(1);

/// Progress that shows itself only once a second has gone by.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    since: Instant,
    shown: bool,
}

impl Progress {
    /// Progress over bytes, or without an end where it is not known.
    pub(crate) fn bytes(what: &'static str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        set_style(&bar, total);
        bar.set_message(what);
        Self { bar, since: Instant::now(), shown: false }
    }

    /// Learns how much there is, or that it is more than was thought; 0 says nothing.
    pub(crate) fn expect(&self, total: u64) {
        if total > 0 && self.bar.length() != Some(total) {
            self.bar.set_length(total);
            set_style(&self.bar, Some(total));
        }
    }

    pub(crate) fn advance(&mut self, by: u64) {
        if !self.shown && self.since.elapsed() >= PATIENCE {
            // Draws nothing unless standard error is a terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        self.bar.inc(by);
    }
}

fn set_style(bar: &ProgressBar, total: Option<u64>) {
    let template = match total {
        Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        None => "{msg} {spinner} {bytes} {bytes_per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
