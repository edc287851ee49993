//! Keys, values and namespaces as a person types and reads them.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use jdb::{Class, NsId};
use std::borrow::Cow;
use std::fmt::Write as _;

/// How bytes are written as text.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// As they are. What is not text is shown as `\xNN`; in JSON such bytes are in base64 under another name.
    #[default]
    Utf8,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Base64 of RFC 4648 with padding.
    Base64,
}

impl Encoding {
    /// The bytes that `text` stands for; the error says what is wrong with it.
    pub(crate) fn read(self, text: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        let decoded = match self {
            Self::Utf8 => return Ok(Cow::Borrowed(text)),
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text),
            Self::Base64 => BASE64.decode(text),
        };
        decoded.map(Cow::Owned).map_err(|error| format!("not {}: {error}", self.name()))
    }

    /// Text for a line on a terminal: what would move the cursor or is no text is escaped.
    pub(crate) fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => escaped(bytes),
            Self::Hex => HEXLOWER_PERMISSIVE.encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }

    /// Puts `bytes` into a JSON object, exactly: text under `name`; what is no text under `name_base64`.
    pub(crate) fn put(self, name: &str, bytes: &[u8], row: &mut serde_json::Map<String, serde_json::Value>) {
        match (self, std::str::from_utf8(bytes)) {
            (Self::Utf8, Ok(text)) => row.insert(name.to_owned(), text.into()),
            (Self::Utf8, Err(_)) => row.insert(format!("{name}_base64"), BASE64.encode(bytes).into()),
            _ => row.insert(name.to_owned(), self.show(bytes).into()),
        };
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "text",
            Self::Hex => "hexadecimal",
            Self::Base64 => "base64",
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                let _ = write!(out, "{}", letter.escape_default());
            } else {
                out.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A namespace as a person names it: a decimal or `0x` number of up to 128 bits, two numbers `SITE/USER`, a UUID, or `2:NUMBER`, as
/// the ids of names are shown.
pub(crate) fn ns_id(text: &str) -> Result<NsId, String> {
    if let Some(id) = text.strip_prefix("2:") {
        return Ok(NsId::new(Class::Named, number(id)?));
    }
    if let Some((site, user)) = text.split_once('/') {
        return Ok(NsId::from((number::<u64>(site)?, number::<u64>(user)?)));
    }
    if text.len() == 36 && text.matches('-').count() == 4 {
        let digits = text.replace('-', "");
        return u128::from_str_radix(&digits, 16).map(NsId::from).map_err(|_| not_an_id(text));
    }
    number::<u128>(text).map(NsId::from)
}

/// The namespace that a text stands for: the 128 bits of its XXH3.
pub(crate) fn ns_of(text: &[u8]) -> NsId {
    NsId::from(xxhash_rust::xxh3::xxh3_128(text))
}

fn number<T: TryFrom<u128>>(text: &str) -> Result<T, String> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(digits, radix).ok().filter(|_| plain);
    number.and_then(|number| number.try_into().ok()).ok_or_else(|| not_an_id(text))
}

fn not_an_id(text: &str) -> String {
    format!("{text:?} is no namespace: a number, 0x.., SITE/USER or a UUID is one; --ns-of takes any text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_four_spellings() {
        for (text, want) in [
            ("7", Some(7)),
            ("0x10", Some(16)),
            ("1/2", Some((1 << 64) | 2)),
            ("00000000-0000-0000-0000-0000000000ff", Some(255)),
            ("340282366920938463463374607431768211455", Some(u128::MAX)),
            ("340282366920938463463374607431768211456", None),
            ("18446744073709551616/1", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1/", None),
            ("babel", None),
            ("0000000--000-0000-0000-0000000000ff", None),
            ("zz000000-0000-0000-0000-0000000000ff", None),
        ] {
            assert_eq!(ns_id(text).ok(), want.map(NsId::from), "{text:?}");
        }
        assert_eq!(ns_id("2:5"), Ok(NsId::new(Class::Named, 5)));
        assert!(ns_id("2:").is_err() && ns_id("3:5").is_err());
    }

    #[test]
    fn encodings_read_what_they_show() {
        for bytes in [&b""[..], b"text", b"\x00\xff", "ü\u{1F600}".as_bytes()] {
            for encoding in [Encoding::Hex, Encoding::Base64] {
                let shown = encoding.show(bytes);
                assert_eq!(encoding.read(shown.as_bytes()).unwrap(), bytes, "{encoding:?} {shown}");
            }
        }
        assert!(Encoding::Hex.read(b"0").unwrap_err().starts_with("not hexadecimal"));
        assert!(Encoding::Base64.read(b"!").unwrap_err().starts_with("not base64"));
        assert_eq!(Encoding::Utf8.show(b"a\tb\x1b[31m\xff"), "a\\tb\\u{1b}[31m\\xff");
    }

    #[test]
    fn json_holds_any_bytes_exactly() {
        let mut row = serde_json::Map::new();
        Encoding::Utf8.put("key", "é\n".as_bytes(), &mut row);
        Encoding::Utf8.put("value", b"\xff", &mut row);
        assert_eq!(serde_json::Value::Object(row).to_string(), r#"{"key":"é\n","value_base64":"/w=="}"#);
    }
}
