//! How a log line ended.

use serde::{Deserialize, Serialize};

/// How a log line ended in its source, so that it can be given back byte for byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum LineEnd {
    /// A line feed: code 0, the default.
    #[default]
    Lf = 0,
    /// A carriage return and a line feed: code 1.
    CrLf = 1,
    /// Nothing: the last line of a source without a final line end. Code 2.
    None = 2,
}

impl LineEnd {
    /// The bytes of the end.
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Lf => b"\n",
            Self::CrLf => b"\r\n",
            Self::None => b"",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(super) const fn is_lf(&self) -> bool {
        matches!(self, Self::Lf)
    }

    /// The code. Stored; it does not change.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The end of a code, if there is one.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Lf),
            1 => Some(Self::CrLf),
            2 => Some(Self::None),
            _ => None,
        }
    }
}
