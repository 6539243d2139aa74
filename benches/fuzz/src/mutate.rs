//! How inputs are made of others: [`Mutator`].

use fastrand::Rng;

/// Makes inputs of seeds, by changes of bytes, of words, and by putting two together.
#[derive(Debug)]
pub struct Mutator<'t> {
    random: Rng,
    seeds: &'t [Vec<u8>],
    words: &'t [&'t str],
}

/// Words that mean something almost everywhere.
const COMMON: &[&str] = &[
    "0",
    "-1",
    "-0",
    "1.5",
    "1e308",
    "1e309",
    "1e-999999999",
    "NaN",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "213503982334601d",
    "99999999999999999999999999999999",
    "",
    " ",
    "\"\"",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":",
    "\\u0000",
    "\\ud800",
    "\\u007b{",
    "{{",
    "}}",
    "{{ tasks.a.result }}",
    "{{ row.a }}",
    "{{ params.a }}",
    "{}",
    "\u{663}",
    "\u{feff}",
    "\u{2028}",
    "\u{1b}",
    "\r\n",
    "\"",
    "'",
    "\\",
];

impl<'t> Mutator<'t> {
    /// No input is longer than this many bytes.
    pub const LONGEST: usize = 1 << 16;

    /// Inputs made of seeds and words, always the same ones for a number.
    pub fn new(seeds: &'t [Vec<u8>], words: &'t [&'t str], seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            seeds,
            words,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.seed();
        for _ in 0..=self.random.usize(0..6) {
            self.change(&mut input);
            input.truncate(Self::LONGEST);
        }
        input
    }

    fn seed(&mut self) -> Vec<u8> {
        self.random.choice(self.seeds).cloned().unwrap_or_default()
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let part = self.part(input);
        match self.random.u8(0..12) {
            0 => {
                if let Some(byte) = input.get_mut(part.start) {
                    *byte ^= 1 << self.random.u8(0..8);
                }
            }
            1 => input.insert(part.start, self.random.u8(..)),
            2 => drop(input.drain(part)),
            3 => {
                let copy = input[part.clone()].to_vec();
                let copies = copy.repeat(1 << self.random.u8(0..10));
                input.splice(part.start..part.start, copies);
            }
            4 | 5 => {
                let word = self.word();
                input.splice(part.start..part.start, word);
            }
            6 | 7 => {
                let word = self.word();
                input.splice(part, word);
            }
            8 | 9 => {
                let place = self.value(input);
                let word = self.word();
                input.splice(place, word);
            }
            10 => {
                let other = self.seed();
                let from = self.part(&other);
                input.splice(part, other[from].to_vec());
            }
            _ => input.truncate(part.start),
        }
    }

    fn word(&mut self) -> Vec<u8> {
        let words = match self.random.bool() {
            true => self.words,
            false => COMMON,
        };
        let word = self.random.choice(words).copied().unwrap_or_default();
        word.as_bytes().to_vec()
    }

    /// Any part of an input, short ones more often.
    fn part(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.usize(0..=input.len());
        let most = (input.len() - start).min(1 << self.random.u8(0..10));
        start..start + self.random.usize(0..=most)
    }

    /// A number or a word in an input.
    fn value(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let is_value = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
        let near = self.part(input).start;
        let from = input[near..].iter().position(is_value);
        let from = from.map_or(input.len(), |after| near + after);
        let length = input[from..].iter().position(|byte| !is_value(byte));
        from..length.map_or(input.len(), |length| from + length)
    }
}
