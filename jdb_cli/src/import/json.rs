//! JSON lines: one object a line, in the shape that `jdb scan --json` prints, or any object with `--key-field`.

use super::input::{Line, Lines};
use super::source::Next;
use super::{Row, Shape, ns_of};
use crate::Which;
use crate::encoding::{Encoding, ns_id};
use crate::error::Result;
use serde_json::{Map, Value};
use std::path::Path;

/// A file of JSON lines.
pub(super) struct Json {
    pub(super) lines: Lines,
    key_field: Option<String>,
    ns_field: Option<String>,
}

impl Json {
    pub(super) fn open(path: &Path, key_field: Option<String>, ns_field: Option<String>) -> Result<Self> {
        Ok(Self { lines: Lines::open(path)?, key_field, ns_field })
    }

    pub(super) fn next(&mut self, shape: &Shape) -> Result<Next> {
        let line = match self.lines.next()? {
            Line::Whole(line) => line,
            Line::TooLong => return Ok(Next::Bad("the line is longer than any row".to_owned())),
            Line::End => return Ok(Next::End),
        };
        let row = row(line, self.key_field.as_deref(), self.ns_field.as_deref(), shape);
        Ok(row.map_or_else(Next::Bad, Next::Row))
    }
}

fn row(line: &[u8], key_field: Option<&str>, ns_field: Option<&str>, shape: &Shape) -> Result<Row, String> {
    let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
        // Its own line number is always 1.
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or_default();
        format!("no JSON object: {why} at column {}", error.column())
    })?;
    let ns = ns(&object, ns_field, shape.ns.as_ref())?;
    if let Some(name) = key_field {
        let key = text(&object, name)?;
        let key = shape.keys.read(key.as_bytes()).map_err(|why| format!("{name:?} is {why}"))?.into_owned();
        return Ok(Row { ns, key, value: line.to_vec() });
    }
    Ok(Row { ns, key: bytes(&object, "key", shape.keys)?, value: bytes(&object, "value", shape.values)? })
}

/// The bytes of a field, or of its base64 under its other name.
fn bytes(object: &Map<String, Value>, name: &str, encoding: Encoding) -> Result<Vec<u8>, String> {
    let other = format!("{name}_base64");
    let (name, encoding) =
        if object.contains_key(name) { (name, encoding) } else { (other.as_str(), Encoding::Base64) };
    if !object.contains_key(name) {
        return Err(format!("neither {:?} nor {name:?}", name.trim_end_matches("_base64")));
    }
    let text = text(object, name)?;
    encoding
        .read(text.as_bytes())
        .map(std::borrow::Cow::into_owned)
        .map_err(|why| format!("{name:?} is {why}"))
}

/// A field's text: of a string what it says, of a number its digits.
fn text(object: &Map<String, Value>, name: &str) -> Result<String, String> {
    match object.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(_) => Err(format!("{name:?} is neither text nor a number")),
        None => Err(format!("no {name:?}")),
    }
}

fn ns(object: &Map<String, Value>, ns_field: Option<&str>, given: Option<&Which>) -> Result<Which, String> {
    match (ns_field, given) {
        (Some(name), _) => Ok(Which::Id(ns_of(text(object, name)?.as_bytes()))),
        (None, Some(given)) => Ok(given.clone()),
        (None, None) if object.contains_key("ns") => ns_id(&text(object, "ns")?).map(Which::Id),
        (None, None) if object.contains_key("ns_name") || object.contains_key("ns_name_base64") => {
            let name = bytes(object, "ns_name", Encoding::Utf8)?;
            match name.len() {
                1..=jdb::NAME_LEN_MAX => Ok(Which::Name(name)),
                len => Err(format!("a name of {len} bytes: 1 to {}", jdb::NAME_LEN_MAX)),
            }
        }
        (None, None) => Err("neither \"ns\" nor \"ns_name\", and no --ns is given".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jdb::NsId;

    #[test]
    fn rows_have_two_shapes_and_errors_say_what_is_missing() {
        let shape = Shape { ns: None, keys: Encoding::Utf8, values: Encoding::Utf8 };
        let own =
            |line: &str| row(line.as_bytes(), None, None, &shape).map(|row| (row.ns, row.key, row.value));
        let want =
            |ns: u64, key: &[u8], value: &[u8]| Ok((Which::Id(NsId::from(ns)), key.to_vec(), value.to_vec()));
        assert_eq!(own(r#"{"ns":"7","key":"a","value":"b\tc"}"#), want(7, b"a", b"b\tc"));
        assert_eq!(own(r#"{"ns":7,"key_base64":"/w==","value":1.5}"#), want(7, b"\xff", b"1.5"));
        for (line, why) in [
            ("", "no JSON object: EOF while parsing a value at column 0"),
            ("[1]", "no JSON object: invalid type: sequence, expected a map at column 0"),
            (r#"{"ns":"7","key":"a"}"#, r#"neither "value" nor "value_base64""#),
            (r#"{"key":"a","value":"b"}"#, r#"neither "ns" nor "ns_name", and no --ns is given"#),
            (r#"{"ns_name":"","key":"a","value":"b"}"#, "a name of 0 bytes: 1 to 1024"),
            (r#"{"ns":"x","key":"a","value":"b"}"#, "\"x\" is no namespace"),
            (r#"{"ns":"7","key":null,"value":"b"}"#, r#""key" is neither text nor a number"#),
        ] {
            let said = own(line).unwrap_err();
            assert!(said.starts_with(why), "{line}: {said}");
        }
        let line = br#"{"name":"left-pad","scope":"@x"}"#;
        let any = row(line, Some("name"), Some("scope"), &shape).unwrap();
        assert_eq!(
            (any.ns, any.key, any.value),
            (Which::Id(ns_of(b"@x")), b"left-pad".to_vec(), line.to_vec())
        );
    }
}
