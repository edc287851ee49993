//! Names as a package registry has them, drawn from a seed: for when no list of real ones is at hand.
//!
//! What matters to a table is how long names are and how much a name shares with those before it in order. So half of the
//! names lie in a scope (`@scope/name`), few scopes hold most of them, names are made of words, and few words are in most
//! names. Real names: 19.8 bytes on average, of which 11.0 are shared with the name before; these: 20.7 and 10.9.

use crate::keys::mix;
use std::collections::BTreeSet;

const CONSONANTS: &[u8] = b"bcdfghjklmnprstvwz";
const VOWELS: &[u8] = b"aeiou";
/// Different words, the most frequent first.
const WORD_COUNT: u64 = 40_000;
/// Different scopes, the most frequent first.
const SCOPE_COUNT: u64 = 20_000;

/// `count` different names, sorted; the same for the same seed.
#[must_use]
pub fn names(count: usize, seed: u64) -> Vec<String> {
    let mut draw = Draw(mix(seed));
    let mut names = BTreeSet::new();
    while names.len() < count {
        names.insert(name(&mut draw));
    }
    names.into_iter().collect()
}

fn name(draw: &mut Draw) -> String {
    let mut name = String::new();
    let mut words = [1, 1, 2, 2, 2, 2, 3, 3, 3, 4].get(draw.below(10) as usize).copied().unwrap_or(1);
    if draw.below(2) == 0 {
        // Scopes have words of their own, and one that many of their names begin with.
        let scope = WORD_COUNT + draw.ranked(SCOPE_COUNT);
        name.push('@');
        push_word(&mut name, scope);
        name.push('/');
        words = (words - 1).max(1);
        if draw.below(3) > 0 {
            push_word(&mut name, scope + SCOPE_COUNT);
            name.push('-');
        }
    }
    for i in 0..words {
        if i > 0 {
            name.push('-');
        }
        push_word(&mut name, draw.ranked(WORD_COUNT));
    }
    name
}

/// A word of two to four syllables, a function of its number.
fn push_word(name: &mut String, number: u64) {
    let mut rest = mix(number);
    for _ in 0..2 + (rest >> 60) % 3 {
        for letters in [CONSONANTS, VOWELS] {
            let letter = letters.get((rest % letters.len() as u64) as usize);
            rest /= letters.len() as u64;
            name.push(char::from(*letter.unwrap_or(&b'a')));
        }
    }
    if rest.is_multiple_of(2) {
        name.push(char::from(*CONSONANTS.get((rest / 2 % 18) as usize).unwrap_or(&b'b')));
    }
}

struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A rank below `end`; each power of two of ranks is as likely as the next.
    fn ranked(&mut self, end: u64) -> u64 {
        let bits = self.below(u64::from(end.ilog2()) + 1);
        ((1 << bits) - 1 + self.below(1 << bits)).min(end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jdb_base::key::common_prefix_len;

    #[test]
    fn names_have_the_shape_of_real_ones() {
        let names = names(227_000, 1);
        let count = names.len() as f64;
        let len = names.iter().map(String::len).sum::<usize>() as f64 / count;
        let pairs = names.windows(2);
        let shared = pairs.map(|pair| common_prefix_len(pair[0].as_bytes(), pair[1].as_bytes()));
        let shared = shared.sum::<usize>() as f64 / count;
        assert!((18.5..21.0).contains(&len), "{len} bytes a name");
        assert!((10.0..12.0).contains(&shared), "{shared} bytes shared");
    }
}
