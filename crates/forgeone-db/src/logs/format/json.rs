//! Lines that are one JSON object. Only known keys of the outermost object are looked at; all else
//! is skipped without building it, in memory bounded by the line.

use super::fields::{self, Fields, Key, Value};
use super::recognise::Found;
use super::time::Calendar;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

const FORMAT: &str = "json";

/// A line that is an object, and nothing else, perhaps with blanks around it.
pub(super) fn object(line: &[u8], calendar: &Calendar) -> Option<Found> {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if *first != b'{' {
        return None;
    }
    read(line, calendar).ok()
}

/// As [`object`], with the reason and the column where it is none.
pub(super) fn read(line: &[u8], calendar: &Calendar) -> Result<Found, serde_json::Error> {
    let mut fields = Fields::new(calendar);
    let mut json = serde_json::Deserializer::from_slice(line);
    json.deserialize_map(Object(&mut fields))?;
    json.end()?;
    let (timestamp, severity) = (fields.timestamp(), fields.severity());
    Ok(Found { timestamp, severity, format: FORMAT })
}

struct Object<'f, 'c>(&'f mut Fields<'c>);

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeyName)? {
            if key == Key::Other {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Field { fields: &mut *self.0, key })?;
            }
        }
        Ok(())
    }
}

/// The meaning of a key, without keeping its name.
struct KeyName;

impl<'de> DeserializeSeed<'de> for KeyName {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyName {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        Ok(fields::key(name.as_bytes()))
    }
}

/// The value of a known key. One of another kind is read to its end and says nothing.
struct Field<'f, 'c> {
    fields: &'f mut Fields<'c>,
    key: Key,
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.fields.add(self.key, Value::Text(text.as_bytes()));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.fields.add(self.key, Value::Number(number));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.fields.add(self.key, Value::Float(number));
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}
