//! Which topics a reader means, by the tokens of their names.

use super::limits::check_name;
use forgeone_db_engine::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;

const ONE: &str = "*";
const REST: &str = ">";

/// A set of topics, written as in NATS: dots divide a name into tokens, the token `*` stands for
/// exactly one token and `>`, which must come last, for one or more.
///
/// Any other token stands for itself, also one that contains `*` or `>` beside other characters,
/// so a pattern without those two tokens is the exact name of one topic.
///
/// # Limits
/// A pattern is as long as a topic name may be: 1 to 255 bytes without control characters.
///
/// # Example
/// ```
/// use forgeone_db::model::TopicPattern;
///
/// let pattern: TopicPattern = "orders.*.created".parse()?;
/// assert!(pattern.matches("orders.eu.created"));
/// assert!(!pattern.matches("orders.eu.north.created"));
/// assert_eq!(pattern.literal_prefix(), "orders.");
/// assert!("orders.>.created".parse::<TopicPattern>().is_err());
/// # Ok::<(), forgeone_db_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicPattern {
    text: String,
    /// `None` for an exact name, whatever its tokens are.
    wild_at: Option<usize>,
}

impl TopicPattern {
    /// Takes a pattern.
    ///
    /// # Errors
    /// `Invalid` when it is empty or too long, has control characters, or has `>` before its end.
    pub fn new(pattern: impl Into<String>) -> Result<Self> {
        let text = pattern.into();
        check_name("a topic pattern", &text)?;
        let (mut offset, mut wild_at) = (0, None);
        for token in text.split('.') {
            let end = offset + token.len();
            if token == REST && end < text.len() {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "in a topic pattern, > stands for all tokens that follow and comes last",
                )
                .with("pattern", text.escape_debug()));
            }
            if token == ONE || token == REST {
                wild_at.get_or_insert(offset);
            }
            offset = end + 1;
        }
        Ok(Self { text, wild_at })
    }

    /// The one topic of that name, whose tokens all stand for themselves, `*` and `>` too.
    ///
    /// # Errors
    /// `Invalid` when [`check_topic`](super::check_topic) refuses the name.
    pub fn exact(topic: impl Into<String>) -> Result<Self> {
        let text = topic.into();
        super::check_topic(&text)?;
        Ok(Self { text, wild_at: None })
    }

    /// All topics.
    pub fn all() -> Self {
        Self { text: REST.to_owned(), wild_at: Some(0) }
    }

    /// Whether the topic is one of those meant.
    pub fn matches(&self, topic: &str) -> bool {
        if self.wild_at.is_none() {
            return self.text == topic;
        }
        let mut tokens = topic.split('.');
        for wanted in self.text.split('.') {
            match tokens.next() {
                None => return false,
                Some(_) if wanted == REST => return true,
                Some(token) if wanted != ONE && wanted != token => return false,
                Some(_) => {}
            }
        }
        tokens.next().is_none()
    }

    /// What the name of every matching topic starts with: a listing need look at no other names.
    pub fn literal_prefix(&self) -> &str {
        let end = self.wild_at.unwrap_or(self.text.len());
        self.text.get(..end).unwrap_or_default()
    }

    /// The name of the only topic that can match, if the pattern is an exact name.
    pub fn exact_topic(&self) -> Option<&str> {
        self.wild_at.is_none().then_some(self.text.as_str())
    }
}

impl FromStr for TopicPattern {
    type Err = Error;

    fn from_str(pattern: &str) -> Result<Self> {
        Self::new(pattern)
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
