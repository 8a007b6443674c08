//! A reading position in a line. Every step may fail to match and none can panic.

/// What is left of a line. A method that gives `None` may have moved: match on a copy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) const fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn peek(self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Moves on by at most `count` bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    /// One byte, if it is wanted.
    pub(super) fn one(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        wanted(*first).then(|| {
            self.rest = rest;
            *first
        })
    }

    pub(super) fn byte(&mut self, wanted: u8) -> Option<()> {
        self.one(|byte| byte == wanted).map(|_| ())
    }

    pub(super) fn literal(&mut self, wanted: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(wanted)?;
        Some(())
    }

    /// The number of exactly `N` digits, at most nine, whatever follows.
    pub(super) fn digits<const N: usize>(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        let mut value = 0u32;
        for byte in head {
            value = value * 10 + digit(*byte)?;
        }
        self.rest = rest;
        Some(value)
    }

    /// The number of 1 to `digits_max` digits, at most nine, with no further digit after it.
    pub(super) fn number(&mut self, digits_max: usize) -> Option<u32> {
        let digits = self.while_in(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > digits_max {
            return None;
        }
        digits
            .iter()
            .try_fold(0u32, |value, byte| value.checked_mul(10)?.checked_add(digit(*byte)?))
    }

    /// Skips blanks and tabs and counts them.
    pub(super) fn blanks(&mut self) -> usize {
        self.while_in(is_blank).len()
    }

    /// What comes before the next blank: not empty.
    pub(super) fn word(&mut self) -> Option<&'a [u8]> {
        let word = self.while_in(|byte| !is_blank(byte));
        (!word.is_empty()).then_some(word)
    }

    pub(super) fn while_in(&mut self, mut wanted: impl FnMut(u8) -> bool) -> &'a [u8] {
        let len = self.rest.iter().position(|byte| !wanted(*byte)).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        head
    }

    /// What comes before the next `end`, which is skipped too, if it is among the next `bytes_max`.
    pub(super) fn until(&mut self, end: u8, bytes_max: usize) -> Option<&'a [u8]> {
        let near = self.rest.get(..bytes_max).unwrap_or(self.rest);
        let at = memchr::memchr(end, near)?;
        let head = near.get(..at)?;
        self.skip(at + 1);
        Some(head)
    }

    /// Whether no letter or digit comes next.
    pub(super) fn at_boundary(self) -> bool {
        !self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric())
    }

    /// Whether a blank or nothing comes next.
    pub(super) fn at_blank(self) -> bool {
        self.peek().is_none_or(is_blank)
    }
}

pub(super) fn digit(byte: u8) -> Option<u32> {
    byte.is_ascii_digit().then(|| u32::from(byte - b'0'))
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
