//! The three ends of a line and what is stored of them.

use crate::model::LineEnd;

#[test]
fn each_line_end_has_bytes_a_code_and_a_name_that_do_not_change() {
    let table = [
        (LineEnd::Lf, "\n", 0, "\"lf\""),
        (LineEnd::CrLf, "\r\n", 1, "\"crlf\""),
        (LineEnd::None, "", 2, "\"none\""),
    ];
    for (end, bytes, code, name) in table {
        assert_eq!(end.as_bytes(), bytes.as_bytes());
        assert_eq!(end.code(), code);
        assert_eq!(LineEnd::from_code(code), Some(end));
        assert_eq!(serde_json::to_string(&end).unwrap(), name);
        assert_eq!(serde_json::from_str::<LineEnd>(name).unwrap(), end);
    }
    assert_eq!(LineEnd::from_code(3), None);
    assert_eq!(LineEnd::default(), LineEnd::Lf);
}
