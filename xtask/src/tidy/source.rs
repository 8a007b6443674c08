//! Rust text with comments and literals blanked out, and words found in it.

/// `text` with each character of a comment or a literal replaced by a space; lines stay.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let blank = blank_length(rest, out.chars().next_back());
        let length = if blank == 0 { next.len_utf8() } else { blank };
        let (taken, left) = rest.split_at(length.min(rest.len()));
        if blank == 0 {
            out.push(next);
        } else {
            out.extend(taken.chars().map(|letter| if letter == '\n' { '\n' } else { ' ' }));
        }
        rest = left;
    }
    out
}

/// How many bytes of a comment or literal `rest` starts with.
fn blank_length(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, 1, '"');
    }
    if rest.starts_with('r') && !before.is_some_and(is_word) || rest.starts_with("br") {
        return raw_string(rest).unwrap_or(0);
    }
    if rest.starts_with('\'') {
        let mut letters = rest.chars().skip(1);
        let (first, second) = (letters.next(), letters.next());
        // Otherwise it is a lifetime.
        if first == Some('\\') || second == Some('\'') {
            return quoted(rest, 1, '\'');
        }
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted(rest: &str, from: usize, end: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(from) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == end => return at + letter.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let tail = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let start = rest.len() - tail.len() + hashes + 1;
    tail.get(hashes..)?.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(rest.get(start..)?.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

pub(crate) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The word that `text` starts with, which may be empty.
pub(crate) fn word(text: &str) -> &str {
    text.find(|letter| !is_word(letter)).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Whether `wanted` occurs in `text` as a whole word.
pub(crate) fn has_word(text: &str, wanted: &str) -> bool {
    text.split(|letter| !is_word(letter)).any(|word| word == wanted)
}

/// What follows each occurrence of `wanted` that does not continue a word, with its line.
pub(crate) fn after<'a>(text: &'a str, wanted: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    text.match_indices(wanted).filter_map(move |(at, _)| {
        let before = text.get(..at)?;
        let follows = text.get(at + wanted.len()..)?;
        let starts = !before.ends_with(is_word);
        starts.then(|| (before.matches('\n').count() + 1, follows))
    })
}
