//! Values that are typed or piped in, and JSON as people see it.

use crate::exit::{Exit, Failure};
use crate::output::is_unsafe;
use serde_json::Value;
use std::fmt;
use std::io::{self, Read as _};

/// Bytes that are read of a value on standard input: more than any value may have, with room for
/// the white space of pretty JSON.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// The argument itself, or what standard input has where the argument is `-`.
pub(crate) fn typed(argument: &str) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(INPUT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("standard input cannot be read", &error))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Failure::new(
            Exit::Failure,
            format!("standard input has more than {INPUT_BYTES_MAX} bytes"),
        )
        .hint("a value has at most 1 MiB; store large texts as events"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        Failure::new(Exit::Failure, format!("standard input is not UTF-8 from byte {at} on"))
            .hint("convert it, for example with iconv")
    })
}

/// Reads a value that was typed or piped in.
pub(crate) fn parse(argument: &str) -> Result<Value, Failure> {
    let text = typed(argument)?;
    serde_json::from_str(&text).map_err(|error| {
        // The parser's own text may repeat what stands there.
        let place = format!("line {}, column {}", error.line(), error.column());
        let failure = Failure::usage(format!("the value is no JSON ({place})"));
        if argument == "-" {
            failure.hint("standard input must be one JSON value; text is in double quotes")
        } else {
            failure.hint("text is JSON in double quotes, and a shell wants both kinds: '\"text\"'")
        }
    })
}

/// JSON on one line that is still JSON, and that cannot move a terminal.
pub(crate) struct JsonText<'a>(pub(crate) &'a Value);

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let mut plain = 0;
        // They can only stand in strings, where each may be written as its number.
        for (at, letter) in text.char_indices().filter(|(_, letter)| is_unsafe(*letter)) {
            f.write_str(text.get(plain..at).unwrap_or_default())?;
            write!(f, "\\u{:04x}", u32::from(letter))?;
            plain = at + letter.len_utf8();
        }
        f.write_str(text.get(plain..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonText, parse};
    use serde_json::{Value, json};

    #[test]
    fn json_for_a_terminal_is_still_the_same_json() {
        let value = json!({"a\u{1b}\u{202e}": "\n\u{7f}\u{85}\u{2028}\u{feff} \u{e9}", "b": [1, 1.0, null]});
        let text = JsonText(&value).to_string();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(!text.chars().any(crate::output::is_unsafe), "{text}");
        assert!(text.contains('\u{e9}'));
    }

    #[test]
    fn what_is_no_json_is_told_without_repeating_it() {
        for text in ["secret", "", "{\"secret\":", "\"a\" secret"] {
            let failure = parse(text).unwrap_err();
            assert!(!failure.message().contains("secret"), "{}", failure.message());
        }
        assert_eq!(parse(" -1.5 ").unwrap(), json!(-1.5));
    }
}
