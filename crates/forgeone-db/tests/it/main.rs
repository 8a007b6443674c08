//! The library as its users meet it.

mod events;
mod stock;
mod support;
mod tamper;
mod verify;
