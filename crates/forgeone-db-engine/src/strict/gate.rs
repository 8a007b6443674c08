//! Who is inside: counts calls in progress, lets none in once closing has begun, and lets `close`
//! wait for the last to leave.
//!
//! Absent on purpose: opening again.

use crate::task::lock;
use std::future::poll_fn;
use std::sync::Mutex;
use std::task::{Poll, Waker};

#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    inside: u64,
    closing: bool,
    waiting: Vec<Waker>,
}

/// A call in progress; leaving is dropping it.
#[derive(Debug)]
pub(super) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Lets a call in, unless closing has begun.
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        let mut state = lock(&self.state);
        if state.closing {
            return None;
        }
        state.inside += 1;
        Some(Pass(self))
    }

    /// Lets nobody in any more, and waits until all have left.
    pub(super) async fn close(&self) {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            state.closing = true;
            if state.inside == 0 {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.inside -= 1;
        let waiting = if state.inside == 0 { std::mem::take(&mut state.waiting) } else { vec![] };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}
