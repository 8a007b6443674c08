//! Names of databases and tables: short, lower-case, safe as file names everywhere.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;
use std::sync::Arc;

const NAME_BYTES_MAX: usize = 64;

fn check(what: &'static str, name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(legal) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!(
                "a {what} name is 1 to {NAME_BYTES_MAX} of the characters a-z, 0-9 and underscore"
            ),
        )
        .with("name", name.escape_debug()));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Takes a name of 1 to 64 of the characters `a-z`, `0-9` and `_`.
            ///
            /// # Errors
            /// `Invalid` for any other name.
            pub fn new(name: impl AsRef<str>) -> Result<Self> {
                check($what, name.as_ref())?;
                Ok(Self(name.as_ref().into()))
            }

            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// The name of a database: with the redb engine, a file of that name.
    DatabaseName,
    "database"
);
name!(
    /// The name of a table in a database.
    TableName,
    "table"
);
