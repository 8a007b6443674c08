//! JSON as settings keep it: compact, with sorted keys, bounded, and readable again.

use crate::codec::corrupt;
use crate::model::SETTING_VALUE_BYTES_MAX;
use forgeone_db_engine::{Error, ErrorKind, Result};
use serde_json::Value;

/// Arrays and objects within one another. A parser accepts no more.
const DEPTH_MAX: usize = 127;

/// The canonical text of a value: no spaces, keys in byte order, numbers as they are.
///
/// # Errors
/// `Invalid` for a value that is too deep or has more than [`SETTING_VALUE_BYTES_MAX`] bytes.
pub(super) fn to_text(value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    write(value, DEPTH_MAX, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth_left: usize, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Array(items) => {
            let depth_left = descend(depth_left)?;
            for (index, item) in items.iter().enumerate() {
                out.push(if index == 0 { b'[' } else { b',' });
                write(item, depth_left, out)?;
            }
            out.extend_from_slice(if items.is_empty() { b"[]" } else { b"]" });
        }
        Value::Object(fields) => {
            let depth_left = descend(depth_left)?;
            // Another crate of the program may have chosen maps that keep another order.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                out.push(if index == 0 { b'{' } else { b',' });
                write_scalar(key, out)?;
                out.push(b':');
                write(item, depth_left, out)?;
            }
            out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
        }
        scalar => write_scalar(scalar, out)?,
    }
    if out.len() > SETTING_VALUE_BYTES_MAX {
        return Err(Error::new(ErrorKind::Invalid, "a setting's value has at most 1 MiB as JSON"));
    }
    Ok(())
}

fn write_scalar<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, value)
        .map_err(|_| Error::new(ErrorKind::Invalid, "a value cannot be written as JSON"))
}

fn descend(depth_left: usize) -> Result<usize> {
    depth_left.checked_sub(1).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "a setting's value is nested too deeply")
            .with("depth_max", DEPTH_MAX)
    })
}

/// # Errors
/// `Corrupt` when the text is no JSON.
pub(super) fn parse(text: &[u8]) -> Result<Value> {
    // The parser's own message may quote the text.
    serde_json::from_slice(text).map_err(|_| corrupt("a setting's value is no JSON"))
}

/// The JSON type of a canonical text.
pub(super) fn text_type(text: &[u8]) -> &'static str {
    match text.first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "bool",
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        _ => "number",
    }
}

/// The JSON type of a value.
pub(super) const fn value_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, parse, text_type, to_text, value_type};
    use crate::model::SETTING_VALUE_BYTES_MAX;
    use forgeone_db_engine::ErrorKind;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn arbitrary() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_value_comes_back_with_its_type(value in arbitrary()) {
            let text = to_text(&value).unwrap();
            prop_assert_eq!(text_type(&text), value_type(&value));
            prop_assert_eq!(&parse(&text).unwrap(), &value);
            prop_assert_eq!(to_text(&parse(&text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn keys_are_sorted_and_numbers_stay_as_they_are() {
        let value: Value = serde_json::from_str(
            r#" {"b": [1, 1.0, -0.0, 18446744073709551615], "a": {"z": 1e300, "\u00e9": "\n"}} "#,
        )
        .unwrap();
        let text = String::from_utf8(to_text(&value).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\"a\":{\"z\":1e+300,\"\u{e9}\":\"\\n\"},\"b\":[1,1.0,-0.0,18446744073709551615]}"
        );
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let nested = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
        let deepest = nested(DEPTH_MAX);
        assert_eq!(parse(&to_text(&deepest).unwrap()).unwrap(), deepest);
        assert_eq!(to_text(&nested(DEPTH_MAX + 1)).unwrap_err().kind(), ErrorKind::Invalid);

        let largest = json!("x".repeat(SETTING_VALUE_BYTES_MAX - 2));
        assert_eq!(to_text(&largest).unwrap().len(), SETTING_VALUE_BYTES_MAX);
        let larger = json!("x".repeat(SETTING_VALUE_BYTES_MAX - 1));
        assert_eq!(to_text(&larger).unwrap_err().kind(), ErrorKind::Invalid);
    }
}
