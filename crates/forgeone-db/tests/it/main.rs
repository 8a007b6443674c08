//! The library as its users meet it.

mod events;
mod kill_image;
mod opening;
mod stock;
mod strict;
mod support;
mod tamper;
mod verify;
mod witness;
