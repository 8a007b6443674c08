//! The library as its users meet it.

mod events;
mod support;
