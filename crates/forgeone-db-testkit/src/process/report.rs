//! The lines that a worker says.

use super::plan::{OpName, RecordName};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// One line. Shorter than what a pipe takes in one piece, so none is torn by a kill but the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// The store is open.
    Opened,
    /// About to be done.
    Sent(OpName),
    /// Done, and what it was answered.
    Acked(OpName, Vec<Answer>),
    /// Refused, and nothing of it will ever be there.
    Rejected(OpName, String),
    /// Failed, and nobody knows.
    Unknown(OpName, String),
    /// A reader beside the writers got this record: its topic, by index, its number, its name.
    Seen(usize, u64, RecordName),
    /// About to close.
    Closing,
    /// Closed, with what went wrong in doing so.
    Closed(String),
    /// The store could not be opened.
    Failed(String),
}

/// A number, such as a sequence or a version, and whether it was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) duplicate: bool,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened => f.write_str("opened ."),
            Self::Sent(op) => write!(f, "sent {op} ."),
            Self::Acked(op, answers) => {
                write!(f, "acked {op}")?;
                for Answer { number, duplicate } in answers {
                    write!(f, " {number}{}", if *duplicate { "d" } else { "" })?;
                }
                f.write_str(" .")
            }
            Self::Rejected(op, why) => write!(f, "rejected {op} {} .", plain(why)),
            Self::Unknown(op, why) => write!(f, "unknown {op} {} .", plain(why)),
            Self::Seen(topic, seq, name) => write!(f, "seen {topic} {seq} {} .", name.id()),
            Self::Closing => f.write_str("closing ."),
            Self::Closed(error) => write!(f, "closed {} .", plain(error)),
            Self::Failed(error) => write!(f, "failed {} .", plain(error)),
        }
    }
}

/// A text that fits into a line.
fn plain(text: &str) -> String {
    text.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl FromStr for Line {
    type Err = ();

    /// Reads a whole line: one that was cut off is none.
    fn from_str(line: &str) -> Result<Self, ()> {
        let line = line.strip_suffix('.').ok_or(())?.trim_end();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
        Ok(match verb {
            "opened" => Self::Opened,
            "closing" => Self::Closing,
            "closed" => Self::Closed(rest.to_owned()),
            "failed" => Self::Failed(rest.to_owned()),
            "sent" => Self::Sent(first.parse()?),
            "acked" => {
                let answers = more.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
                Self::Acked(first.parse()?, answers)
            }
            "rejected" => Self::Rejected(first.parse()?, more.to_owned()),
            "unknown" => Self::Unknown(first.parse()?, more.to_owned()),
            "seen" => {
                let (seq, id) = more.split_once(' ').ok_or(())?;
                let id = Uuid::parse_str(id).map_err(drop)?;
                let number = |text: &str| text.parse().map_err(drop);
                Self::Seen(first.parse().map_err(drop)?, number(seq)?, RecordName::of_id(id))
            }
            _ => return Err(()),
        })
    }
}

impl FromStr for Answer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = text.trim_end_matches('d');
        Ok(Self { number: number.parse().map_err(drop)?, duplicate: number.len() < text.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Line};
    use crate::process::plan::{OpName, RecordName};

    #[test]
    fn a_line_is_read_as_it_was_said_and_a_torn_one_not_at_all() {
        let op = OpName { cycle: 3, thread: 1000, number: 27 };
        let answers =
            vec![Answer { number: 17, duplicate: false }, Answer { number: 18, duplicate: true }];
        for line in [
            Line::Opened,
            Line::Sent(op),
            Line::Acked(op, answers),
            Line::Acked(op, Vec::new()),
            Line::Rejected(op, "Conflict: a reason".into()),
            Line::Unknown(op, "Full".into()),
            Line::Seen(2, 99, RecordName { op, part: 7 }),
            Line::Closing,
            Line::Closed(String::new()),
        ] {
            let text = line.to_string();
            assert_eq!(text.parse(), Ok(line));
            for end in 0..text.len() - 1 {
                text[..end].parse::<Line>().unwrap_err();
            }
        }
    }
}
