//! The library as its users meet it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod beside;
mod events;
mod model;
mod stock;
mod support;
mod trouble;
mod verify;
