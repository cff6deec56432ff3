//! A bounded run of every property: the kept inputs, and as many mutations of them, drawn from a seed.
//!
//! `SEAWALL_FUZZ_SEED` and `SEAWALL_FUZZ_RUNS` choose another seed and number; a failure prints both and the input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::{env, fs};

use seawall_fuzz_short::PROPERTIES;

#[test]
fn every_property_holds() {
    let number = |name: &str, default| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seed = number("SEAWALL_FUZZ_SEED", SEED);
    let runs = number("SEAWALL_FUZZ_RUNS", RUNS);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for property in PROPERTIES {
        let mut inputs: Vec<Vec<u8>> = fs::read_dir(kept.join(property.name))
            .unwrap_or_else(|error| panic!("fuzz/corpus/{}: {error}", property.name))
            .map(|entry| fs::read(entry.expect("a folder can be listed").path()).expect("a kept input can be read"))
            .collect();
        // The order of a folder differs between machines, and the seed has to mean the same on all of them.
        inputs.sort();
        let mut random = Random(seed);
        let mutations = (0..runs).map(|_| mutated(&inputs, &mut random));
        for input in inputs.iter().cloned().chain(mutations) {
            let holds = catch_unwind(AssertUnwindSafe(|| (property.check)(&input))).is_ok();
            assert!(
                holds,
                "{} does not hold for {:?}; again: SEAWALL_FUZZ_SEED={seed} SEAWALL_FUZZ_RUNS={runs} \
                 cargo test -p seawall-fuzz-short",
                property.name,
                String::from_utf8_lossy(&input)
            );
        }
    }
}

/// A kept input with a few changes: bytes exchanged, pieces taken out, put twice, or taken from another input.
fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(CHANGES_MAX) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(PIECE_MAX)).min(input.len());
        match random.below(6) {
            0 => drop(input.drain(at..end)),
            1 => {
                let piece = input[at..end].to_vec();
                input.splice(at..at, piece);
            }
            2 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                let piece = other[from..(from + random.below(PIECE_MAX)).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            3 => input.insert(at, TELLING[random.below(TELLING.len())]),
            4 => input.insert(at, random.next() as u8),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

/// Numbers that a seed decides (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Below `bound`, which is not zero.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

const SEED: u64 = 1;
/// A few seconds for all properties, unoptimised.
const RUNS: u64 = 3_000;
const CHANGES_MAX: usize = 6;
const PIECE_MAX: usize = 12;
/// Longer inputs make the run slow and find no more.
const INPUT_BYTES_MAX: usize = 8_192;
/// The bytes that grammars are made of.
const TELLING: &[u8] = b" \t,;=\"\\()*?:-/%+&.0123456789\n";
