//! ForgeOne DB.

pub mod redb;
