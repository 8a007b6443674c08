//! Cutting: every byte comes back, and how the input arrives makes no difference.

use super::{in_mode, options, read};
use crate::logs::format::{FormatMode, LineReader, ParsedLine};
use crate::model::{LineEnd, PAYLOAD_BYTES_MAX};
use forgeone_db_engine::{ErrorKind, Result};
use proptest::prelude::*;

fn bytes_of(entries: &[ParsedLine]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [&entry.line, entry.end.as_bytes()].concat()).collect()
}

/// All entries up to the end or the first error, of an input that arrives in pieces.
fn read_cut(mode: FormatMode, input: &[u8], cuts: &[usize]) -> (Vec<ParsedLine>, Result<()>) {
    let mut reader = LineReader::new(in_mode(mode));
    let mut entries = Vec::new();
    let mut rest = input;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        rest = after;
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(entry)) => entries.push(entry),
                Ok(None) => break,
                Err(error) => return (entries, Err(error)),
            }
        }
    }
    loop {
        match reader.finish() {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => return (entries, Ok(())),
            Err(error) => return (entries, Err(error)),
        }
    }
}

/// Pieces that make lines which come close to formats, binary fields and line ends.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> = vec![
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b" ",
        b"\0",
        b"=",
        b"-",
        b"[",
        b"]",
        b"\"",
        b"{",
        b"}",
        b":",
        b"__CURSOR=",
        b"__REALTIME_TIMESTAMP=1700000000000000\n",
        b"PRIORITY=3\n",
        b"MESSAGE\n",
        b"\x05\0\0\0\0\0\0\0",
        b"\xff\xff\xff\0\0\0\0\0",
        b"2024-05-06",
        b"T07:08:09",
        b",123",
        b"Z",
        b"+0200",
        b" ERROR ",
        b"[Mon ",
        b"May  6 ",
        b"07:08:09 ",
        b"2024] ",
        b"<34>",
        b"1 ",
        b"{\"ts\":17",
        b"{\"level\":\"warn\"}",
        b"1700000000",
        b"05-06 ",
        b"I0506 ",
        b"level=info ",
        b"Feb 29 ",
        b"\xef\xbb\xbf",
        b"23:59:60",
        b"99",
        b"- ",
        b"2005.06.03 ",
        b"7 a b c ",
    ];
    prop_oneof![
        4 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(fragment(), 0..40).prop_map(|parts| parts.concat()),
        1 => prop::collection::vec(any::<u8>(), 0..400),
    ]
}

proptest! {
    #[test]
    fn every_byte_comes_back_and_cuts_do_not_matter(
        input in input(),
        cuts in prop::collection::vec(0usize..12, 0..60),
    ) {
        for mode in [FormatMode::Auto, FormatMode::Text] {
            let (whole, end) = read_cut(mode, &input, &[]);
            // Of a journal a field may say that it is longer than any may be.
            prop_assert!(end.is_ok() || mode == FormatMode::Auto && input.starts_with(b"__"));
            prop_assert!(input.starts_with(&bytes_of(&whole)));
            prop_assert!(end.is_err() || bytes_of(&whole) == input);
            prop_assert_eq!(&read_cut(mode, &input, &cuts).0, &whole);
            prop_assert_eq!(&read_cut(mode, &input, &vec![1; input.len()]).0, &whole);
        }
        let (whole, end) = read_cut(FormatMode::Json, &input, &[]);
        prop_assert!(input.starts_with(&bytes_of(&whole)));
        prop_assert!(end.is_err() || bytes_of(&whole) == input);
        let (cut, cut_end) = read_cut(FormatMode::Json, &input, &cuts);
        prop_assert_eq!(cut, whole);
        prop_assert_eq!(cut_end.is_err(), end.is_err());
    }

    #[test]
    fn what_a_line_says_does_not_depend_on_the_lines_before(parts in prop::collection::vec(fragment(), 1..12)) {
        let line: Vec<u8> = parts.concat().into_iter().filter(|byte| *byte != b'\n').collect();
        prop_assume!(!line.starts_with(b"__"));
        let alone = read(options(), &line);
        let before: [&[u8]; 4] =
            [b"{\"ts\":1}\n", b"05-06 07:08:09.1 W/T: x\n", b"2024-05-06 07:08:09 ERROR x\n", b"level=info\n"];
        for before in before {
            let entries = read(options(), &[before, line.as_slice()].concat());
            let last = entries.get(1).map(|entry| ParsedLine { number: 1, ..entry.clone() });
            prop_assert_eq!(last.as_ref(), alone.first());
        }
    }
}

#[test]
fn line_ends_and_what_only_looks_like_one() {
    let entries = read(options(), b"a\nb\r\n\n\r\nc\rd\r\r\ne\r");
    let lines: Vec<(&[u8], LineEnd, u64)> =
        entries.iter().map(|entry| (entry.line.as_slice(), entry.end, entry.number)).collect();
    let wanted: [(&[u8], LineEnd, u64); 6] = [
        (b"a", LineEnd::Lf, 1),
        (b"b", LineEnd::CrLf, 2),
        (b"", LineEnd::Lf, 3),
        (b"", LineEnd::CrLf, 4),
        (b"c\rd\r", LineEnd::CrLf, 5),
        (b"e\r", LineEnd::None, 6),
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn an_entry_may_have_16_mib_and_not_a_byte_more() {
    let longest = vec![b'x'; PAYLOAD_BYTES_MAX];
    for (end, ended) in [("", LineEnd::None), ("\n", LineEnd::Lf), ("\r\n", LineEnd::CrLf)] {
        let mut input = b"first\n".to_vec();
        input.extend_from_slice(&longest);
        input.extend_from_slice(end.as_bytes());
        let (entries, result) = read_cut(FormatMode::Auto, &input, &[1 << 20; 17]);
        result.unwrap();
        assert_eq!((entries[1].line.len(), entries[1].end), (PAYLOAD_BYTES_MAX, ended));
        input.insert(6, b'y');
        for cuts in [[1 << 20; 17], [1 << 25; 17]] {
            let (entries, result) = read_cut(FormatMode::Auto, &input, &cuts);
            let error = result.unwrap_err();
            assert_eq!(entries.len(), 1);
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains("16777216"), "{error}");
            assert!(error.to_string().contains('2'), "{error}");
        }
    }
}

#[test]
fn a_line_without_end_is_given_up_and_not_kept() {
    let mut reader = LineReader::new(options());
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        reader.push(&piece);
        let held = format!("{reader:?}");
        let held = held.split("pending_bytes: ").nth(1).unwrap().split(',').next().unwrap();
        assert!(held.parse::<usize>().unwrap() <= PAYLOAD_BYTES_MAX + piece.len());
        drop(reader.next());
    }
    assert!(reader.next().is_err());
    assert!(reader.finish().is_err());
}

#[test]
fn a_field_of_the_journal_that_is_too_long_is_an_error_in_any_cut() {
    let mut input = b"__CURSOR=1\nCORE\n".to_vec();
    input.extend_from_slice(&(PAYLOAD_BYTES_MAX as u64).to_le_bytes());
    input.extend_from_slice(&[0; 100]);
    for cuts in [vec![], vec![1; input.len()]] {
        let (entries, result) = read_cut(FormatMode::Auto, &input, &cuts);
        assert!(entries.is_empty());
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[test]
fn a_later_arrival_counts_from_the_next_entry_on() {
    let mut reader = LineReader::new(options());
    reader.push(b"Jul  9 10:00:00 h x\nJul  9 10:00:00 h x\n");
    assert_eq!(reader.next().unwrap().unwrap().timestamp, Some(super::at("2025-07-09T10:00:00Z")));
    reader.set_now(super::at("2031-01-01T00:00:00Z"));
    assert_eq!(reader.next().unwrap().unwrap().timestamp, Some(super::at("2030-07-09T10:00:00Z")));
}
