//! How a line of a log ends.

use serde::{Deserialize, Serialize};

/// How a line ended where it was read, so that it can be written again as it was.
///
/// In JSON `lf`, `crlf` or `none`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    /// A line feed, and the default: code 0.
    #[default]
    Lf,
    /// Carriage return and line feed: code 1.
    CrLf,
    /// Nothing, as only the last line of an input can end: code 2.
    None,
}

impl LineEnd {
    /// The bytes that end the line.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::None => b"",
        }
    }

    /// The code, 0 to 2. Stored; it does not change.
    pub const fn code(self) -> u8 {
        match self {
            Self::Lf => 0,
            Self::CrLf => 1,
            Self::None => 2,
        }
    }

    /// The line end of a code, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Lf),
            1 => Some(Self::CrLf),
            2 => Some(Self::None),
            _ => None,
        }
    }
}
