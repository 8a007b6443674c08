//! How severe a log entry is, in the numbers and names of OpenTelemetry.

use forgeone_db_engine::{Error, ErrorKind, Result};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// How severe a log entry is: the severity numbers 1 to 24 of OpenTelemetry, six levels of four
/// degrees. A higher number is more severe.
///
/// Written as its lower-case name, `info` or `info2`. Read from a number, or from a name in either
/// case; the names of syslog and their usual short forms are read as OpenTelemetry maps them:
/// `notice` is `info2`, `critical` is `error2`, `alert` is `error3`, `emergency` is `fatal`.
///
/// # Example
/// ```
/// use forgeone_db::model::{Severity, SeverityLevel};
///
/// assert_eq!("WARNING".parse::<Severity>()?, Severity::Warn);
/// assert_eq!("10".parse::<Severity>()?.to_string(), "info2");
/// assert!(Severity::Error3 > Severity::Error);
/// assert_eq!(Severity::Error3.level(), SeverityLevel::Error);
/// # Ok::<(), forgeone_db_engine::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// Fine-grained tracing: number 1.
    Trace = 1,
    /// `trace2`: number 2.
    Trace2 = 2,
    /// `trace3`: number 3.
    Trace3 = 3,
    /// `trace4`: number 4.
    Trace4 = 4,
    /// For finding faults: number 5.
    Debug = 5,
    /// `debug2`: number 6.
    Debug2 = 6,
    /// `debug3`: number 7.
    Debug3 = 7,
    /// `debug4`: number 8.
    Debug4 = 8,
    /// An ordinary message, and the default: number 9.
    #[default]
    Info = 9,
    /// `info2`: number 10.
    Info2 = 10,
    /// `info3`: number 11.
    Info3 = 11,
    /// `info4`: number 12.
    Info4 = 12,
    /// Something to look at: number 13.
    Warn = 13,
    /// `warn2`: number 14.
    Warn2 = 14,
    /// `warn3`: number 15.
    Warn3 = 15,
    /// `warn4`: number 16.
    Warn4 = 16,
    /// Something failed: number 17.
    Error = 17,
    /// `error2`: number 18.
    Error2 = 18,
    /// `error3`: number 19.
    Error3 = 19,
    /// `error4`: number 20.
    Error4 = 20,
    /// The program cannot go on: number 21.
    Fatal = 21,
    /// `fatal2`: number 22.
    Fatal2 = 22,
    /// `fatal3`: number 23.
    Fatal3 = 23,
    /// `fatal4`: number 24.
    Fatal4 = 24,
}

/// The level of a [`Severity`], without the degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SeverityLevel {
    /// Numbers 1 to 4.
    Trace,
    /// Numbers 5 to 8.
    Debug,
    /// Numbers 9 to 12.
    Info,
    /// Numbers 13 to 16.
    Warn,
    /// Numbers 17 to 20.
    Error,
    /// Numbers 21 to 24.
    Fatal,
}

impl Severity {
    /// All severities, least severe first.
    #[rustfmt::skip]
    pub const ALL: [Self; 24] = [Self::Trace, Self::Trace2, Self::Trace3, Self::Trace4, Self::Debug, Self::Debug2, Self::Debug3, Self::Debug4, Self::Info, Self::Info2, Self::Info3, Self::Info4, Self::Warn, Self::Warn2, Self::Warn3, Self::Warn4, Self::Error, Self::Error2, Self::Error3, Self::Error4, Self::Fatal, Self::Fatal2, Self::Fatal3, Self::Fatal4];

    /// The number, 1 to 24. Stored; it does not change.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The severity of a number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }

    /// The lower-case name, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Trace2 => "trace2",
            Self::Trace3 => "trace3",
            Self::Trace4 => "trace4",
            Self::Debug => "debug",
            Self::Debug2 => "debug2",
            Self::Debug3 => "debug3",
            Self::Debug4 => "debug4",
            Self::Info => "info",
            Self::Info2 => "info2",
            Self::Info3 => "info3",
            Self::Info4 => "info4",
            Self::Warn => "warn",
            Self::Warn2 => "warn2",
            Self::Warn3 => "warn3",
            Self::Warn4 => "warn4",
            Self::Error => "error",
            Self::Error2 => "error2",
            Self::Error3 => "error3",
            Self::Error4 => "error4",
            Self::Fatal => "fatal",
            Self::Fatal2 => "fatal2",
            Self::Fatal3 => "fatal3",
            Self::Fatal4 => "fatal4",
        }
    }

    /// The level without the degree.
    pub const fn level(self) -> SeverityLevel {
        match self {
            Self::Trace | Self::Trace2 | Self::Trace3 | Self::Trace4 => SeverityLevel::Trace,
            Self::Debug | Self::Debug2 | Self::Debug3 | Self::Debug4 => SeverityLevel::Debug,
            Self::Info | Self::Info2 | Self::Info3 | Self::Info4 => SeverityLevel::Info,
            Self::Warn | Self::Warn2 | Self::Warn3 | Self::Warn4 => SeverityLevel::Warn,
            Self::Error | Self::Error2 | Self::Error3 | Self::Error4 => SeverityLevel::Error,
            Self::Fatal | Self::Fatal2 | Self::Fatal3 | Self::Fatal4 => SeverityLevel::Fatal,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = Error;

    /// Reads a name in either case, a syslog name, or a number from 1 to 24.
    ///
    /// # Errors
    /// `Invalid` for anything else.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.to_ascii_lowercase();
        let known = match name.as_str() {
            "information" | "informational" => Some(Self::Info),
            "notice" => Some(Self::Info2),
            "warning" => Some(Self::Warn),
            "err" => Some(Self::Error),
            "critical" | "crit" => Some(Self::Error2),
            "alert" => Some(Self::Error3),
            "emergency" | "emerg" => Some(Self::Fatal),
            name => Self::ALL.into_iter().find(|severity| severity.as_str() == name),
        };
        known.or_else(|| Self::from_number(name.parse().ok()?)).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "a severity is trace, debug, info, warn, error or fatal, \
                 with 2, 3 or 4 after it if wanted, or a number from 1 to 24",
            )
            .with("severity", text.escape_debug())
        })
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = Severity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a severity, or a number from 1 to 24")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Severity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Severity, E> {
                u8::try_from(number)
                    .ok()
                    .and_then(Severity::from_number)
                    .ok_or_else(|| E::custom("a severity number is 1 to 24"))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Severity, E> {
                self.visit_u64(u64::try_from(number).unwrap_or(0))
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}
