//! Properties: what is in a table and how it was made, for people and tools. Reading entries needs none of it.
//!
//! `{ tag: varint  value: varint } *`; a tag that is not known is skipped.
//!
//! Format: docs/format/sst.md.

use crate::error::Damage;
use crate::options::WriterOptions;
use jdb_base::varint::{put_u64, take_u64};
use jdb_base::{Kind, SeqNo};

/// Counts and creation parameters of a table.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Properties {
    /// Entries with an inline value.
    pub inline_count: u64,
    /// Entries with a value pointer.
    pub pointer_count: u64,
    /// Tombstones.
    pub tombstone_count: u64,
    /// Different keys.
    pub key_count: u64,
    /// Bytes of the keys, whole, of all entries.
    pub key_len: u64,
    /// Bytes of the values as they lie in the table.
    pub value_len: u64,
    /// Smallest sequence number.
    pub seq_min: SeqNo,
    /// Largest sequence number.
    pub seq_max: SeqNo,
    /// Number of data blocks.
    pub block_count: u64,
    /// Bytes of index blocks.
    pub index_len: u64,
    /// Bytes of filter blocks.
    pub filter_len: u64,
    /// [`WriterOptions::block_len`].
    pub block_target_len: u64,
    /// [`WriterOptions::index_len`].
    pub index_target_len: u64,
    /// [`WriterOptions::top_len`].
    pub top_target_len: u64,
    /// Number of [`WriterOptions::codec`].
    pub codec: u64,
}

impl Properties {
    /// None counted yet, for a table made so.
    pub(crate) fn new(options: &WriterOptions) -> Self {
        Self {
            block_target_len: options.block_len as u64,
            index_target_len: options.index_len as u64,
            top_target_len: options.top_len as u64,
            codec: u64::from(options.codec.to_u8()),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, same_key: bool, key: &[u8], kind: Kind, value: &[u8]) {
        match kind {
            Kind::Tombstone => self.tombstone_count += 1,
            Kind::Pointer => self.pointer_count += 1,
            _ => self.inline_count += 1,
        }
        self.key_count += u64::from(!same_key);
        self.key_len += key.len() as u64;
        self.value_len += value.len() as u64;
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut copy = *self;
        for (tag, field) in (1..).zip(copy.fields()) {
            put_u64(out, tag);
            put_u64(out, field.get());
        }
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Damage> {
        let len = bytes.len();
        let mut properties = Self::default();
        while !bytes.is_empty() {
            let at = len - bytes.len();
            let pair = take_u64(&mut bytes).and_then(|tag| Some((tag, take_u64(&mut bytes)?)));
            let (tag, value) = pair.ok_or_else(|| Damage::corrupt("property", at, 2, 1))?;
            let index = usize::try_from(tag).ok().and_then(|tag| tag.checked_sub(1));
            let mut fields = properties.fields();
            if let Some(field) = index.and_then(|index| fields.get_mut(index)) {
                field.set(value);
            }
        }
        Ok(properties)
    }

    /// The fields by their tags, from 1 on. **Format**: only added to, at the end.
    fn fields(&mut self) -> [Field<'_>; 15] {
        use Field::{Number, Seq};
        [
            Number(&mut self.inline_count),
            Number(&mut self.pointer_count),
            Number(&mut self.tombstone_count),
            Number(&mut self.key_count),
            Number(&mut self.key_len),
            Number(&mut self.value_len),
            Seq(&mut self.seq_min),
            Seq(&mut self.seq_max),
            Number(&mut self.block_count),
            Number(&mut self.index_len),
            Number(&mut self.filter_len),
            Number(&mut self.block_target_len),
            Number(&mut self.index_target_len),
            Number(&mut self.top_target_len),
            Number(&mut self.codec),
        ]
    }

    /// Name and value of each field, by tag.
    pub(crate) fn named(mut self) -> Vec<(&'static str, u64)> {
        let names = [
            "inline values",
            "pointers",
            "tombstones",
            "keys",
            "bytes of keys",
            "bytes of values",
            "smallest sequence",
            "largest sequence",
            "data blocks",
            "bytes of index",
            "bytes of filters",
            "block target",
            "index target",
            "top target",
            "codec",
        ];
        names.into_iter().zip(self.fields().iter().map(Field::get)).collect()
    }
}

enum Field<'a> {
    Number(&'a mut u64),
    Seq(&'a mut SeqNo),
}

impl Field<'_> {
    fn get(&self) -> u64 {
        match self {
            Self::Number(number) => **number,
            Self::Seq(seq) => seq.get(),
        }
    }

    fn set(&mut self, value: u64) {
        match self {
            Self::Number(number) => **number = value,
            Self::Seq(seq) => **seq = SeqNo::new(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_back_and_later_tags_are_skipped() {
        let mut properties = Properties::new(&WriterOptions::default());
        properties.add(false, b"key", Kind::Inline, b"value");
        properties.add(true, b"key", Kind::Tombstone, b"");
        properties.seq_max = SeqNo::MAX;
        let mut bytes = Vec::new();
        properties.encode(&mut bytes);
        assert_eq!(Properties::decode(&bytes), Ok(properties));
        assert_eq!((properties.key_count, properties.key_len, properties.value_len), (1, 6, 5));
        put_u64(&mut bytes, 16);
        put_u64(&mut bytes, 5);
        put_u64(&mut bytes, u64::MAX);
        put_u64(&mut bytes, 6);
        assert_eq!(Properties::decode(&bytes), Ok(properties));
        bytes.pop();
        assert!(matches!(Properties::decode(&bytes), Err(Damage::Corrupt { what: "property", .. })));
        assert_eq!(Properties::decode(&[]), Ok(Properties::default()));
    }
}
