//! Which threads are a store's own.

use std::cell::Cell;

thread_local! {
    static OF_A_STORE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread, until it ends, as one that works for a store. [`SystemEnvironment`]
/// marks each thread that it starts; an environment that starts threads itself does the same.
///
/// [`SystemEnvironment`]: super::SystemEnvironment
pub fn mark_store_thread() {
    OF_A_STORE.set(true);
}

/// Whether the calling thread works for a store. Whoever stores what a program does, its logs for
/// one, leaves out what happens on such a thread: storing that would cause more of it, for ever.
pub fn on_store_thread() -> bool {
    OF_A_STORE.try_with(Cell::get).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::super::{Environment as _, SystemEnvironment};
    use super::on_store_thread;
    use std::sync::mpsc;

    #[test]
    fn threads_of_the_environment_are_marked_and_no_others() {
        let (sender, receiver) = mpsc::channel();
        let task = Box::new(move || sender.send(on_store_thread()).unwrap());
        assert!(SystemEnvironment::new().spawn("marked", task).unwrap().join());
        assert!(receiver.recv().unwrap());
        assert!(!on_store_thread());
    }
}
