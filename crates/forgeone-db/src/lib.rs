//! ForgeOne DB.

pub mod model;
