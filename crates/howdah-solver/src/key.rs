//! Cache keys: BLAKE3 over a written recipe.

use std::fmt;
use std::str::FromStr;

/// A cache key or a content digest: 32 bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The digest of plain bytes.
    pub fn of(bytes: &[u8]) -> Key {
        Key(*blake3::hash(bytes).as_bytes())
    }

    /// The bytes as they are stored.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({self})")
    }
}

impl FromStr for Key {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Key, Self::Err> {
        Ok(Key(*blake3::Hash::from_hex(text)?.as_bytes()))
    }
}

/// A key in the making: named fields in a fixed order. Every field is framed by its lengths, so that no two different
/// recipes give the same bytes. The fields stay readable, so that two keys can be compared later.
#[derive(Clone, Debug)]
pub struct Recipe {
    hasher: blake3::Hasher,
    fields: Vec<(&'static str, String)>,
}

impl Recipe {
    /// Begins the recipe of `operation` in its `version`; a changed recipe must get a new version.
    pub fn new(operation: &'static str, version: u32) -> Recipe {
        let mut recipe = Recipe {
            hasher: blake3::Hasher::new(),
            fields: Vec::new(),
        };
        recipe.text(operation, &version.to_string());
        recipe
    }

    /// Adds a field of text.
    pub fn text(&mut self, name: &'static str, value: &str) -> &mut Recipe {
        self.frame(name, value.as_bytes());
        self.fields.push((name, value.to_owned()));
        self
    }

    /// Adds a list; its length counts, so `["ab"]` and `["a", "b"]` differ.
    pub fn list<S: AsRef<str>>(
        &mut self,
        name: &'static str,
        values: impl IntoIterator<Item = S>,
    ) -> &mut Recipe {
        let mut count: u64 = 0;
        for value in values {
            self.text(name, value.as_ref());
            count += 1;
        }
        self.hasher.update(&count.to_le_bytes());
        self
    }

    /// Adds another key or a content digest.
    pub fn key(&mut self, name: &'static str, value: &Key) -> &mut Recipe {
        self.frame(name, value.as_bytes());
        self.fields.push((name, value.to_string()));
        self
    }

    /// The key, and the fields it was made of.
    pub fn finish(self) -> (Key, Vec<(&'static str, String)>) {
        (Key(*self.hasher.finalize().as_bytes()), self.fields)
    }

    fn frame(&mut self, name: &str, value: &[u8]) {
        self.hasher.update(&(name.len() as u64).to_le_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&(value.len() as u64).to_le_bytes());
        self.hasher.update(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_from_its_text() {
        let key = Key::of(b"abc");
        assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        assert!("xyz".parse::<Key>().is_err());
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let keys: Vec<Key> = [&["ab"][..], &["a", "b"], &["a", "", "b"], &[]]
            .iter()
            .map(|values| {
                let mut recipe = Recipe::new("op", 1);
                recipe.list("values", *values);
                recipe.finish().0
            })
            .collect();
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[index + 1..].contains(key), "{index}");
        }
    }

    #[test]
    fn the_framing_is_fixed() {
        let mut recipe = Recipe::new("exec", 1);
        recipe.text("cwd", "/").list("args", ["a", "b"]);
        // Another digest here throws away every cache in the world.
        assert_eq!(
            recipe.finish().0.to_string(),
            "de8a63b86691be411efbde3d794dfe6dfda22046211d94e02c5af524abcfba41"
        );
    }
}
