//! ForgeOne DB.
