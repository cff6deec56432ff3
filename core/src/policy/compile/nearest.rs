//! What a misspelt word was meant to be.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// The advice for a word that is none of `known`: the one it was probably meant to be, or all of them.
pub(super) fn advice(word: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(word, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance * 2 < nearest.len() => format!("did you mean \"{nearest}\"?"),
        _ => format!("it may be {}", known.join(", ")),
    }
}

/// How many letters must be added, dropped or changed to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (taken, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = taken + 1;
        for (at, wanted) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}
