//! Which finished projects are like another, by an embedding that is no model's: words of the description, kind of permit
//! and size of the cost, each hashed to one place of a vector (decision 50).
//!
//! What it finds are permits with the same words, not the same meaning: "solar panels" and "photovoltaic system" have
//! nothing in common here. It is deterministic, needs no service, and costs microseconds.

use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::limits::SIMILAR_MAX;
use super::record::{Neighbor, Permit};

/// How similar permits were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SimilarBy {
    /// The newest of the neighborhood, of the same kind and about the same cost.
    #[default]
    Neighborhood,
    /// Of the whole city, by the words of their descriptions, kind and cost.
    Description,
}

/// What tells a project from others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Project<'a> {
    pub(crate) description: &'a str,
    pub(crate) kind: &'a str,
    /// In dollars.
    pub(crate) cost: Option<u64>,
}

impl<'a> Project<'a> {
    fn of(permit: &'a Permit) -> Option<Self> {
        let description = permit.description.as_deref()?;
        // A cost beyond the range is the nearest within it.
        let cost = permit.cost().map(|cost| cost as u64);
        Some(Self { description, kind: permit.permit_type_definition.as_deref().unwrap_or_default(), cost })
    }

    /// The vector, as pgvector reads it; only its direction counts. `None` for a description without a word that tells
    /// anything.
    pub(crate) fn embedding(&self) -> Option<String> {
        let mut vector = [0_i32; DIMENSIONS];
        let mut add = |kind: &str, term: &str, weight: i32| {
            let hash = fnv([kind.as_bytes(), b":", term.as_bytes()].into_iter().flatten());
            let place = usize::try_from(hash % DIMENSIONS as u64).unwrap_or_default();
            // Terms that meet at one place cancel as often as they add up.
            vector[place] += if hash >> 63 == 0 { weight } else { -weight };
        };
        let words = words(self.description);
        if words.is_empty() {
            return None;
        }
        words.iter().for_each(|word| add("word", word, WORD));
        if !self.kind.is_empty() {
            add("kind", &self.kind.to_lowercase(), KIND);
        }
        if let Some(cost) = self.cost.filter(|cost| *cost > 0) {
            let size = cost.ilog2();
            // Costs on both sides of a power of two are near each other too.
            for (size, weight) in [(size.saturating_sub(1), COST / 2), (size, COST), (size + 1, COST / 2)] {
                add("cost", &size.to_string(), weight);
            }
        }
        let numbers: Vec<_> = vector.iter().map(i32::to_string).collect();
        Some(format!("[{}]", numbers.join(",")))
    }
}

/// The words that tell something, cut to their beginnings, each once.
fn words(description: &str) -> Vec<String> {
    let mut words: Vec<String> = description
        .split(|letter: char| !letter.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= WORD_LETTERS_MIN && !EVERYWHERE.contains(&&**word))
        .filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()))
        .map(|word| word.chars().take(STEM_LETTERS).collect())
        .take(WORDS_MAX)
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// FNV-1a of 64 bits: the same on every machine and in every release, which a hash of the standard library is not.
fn fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether the job `similar-projects` has filled the table, which an extension that was dropped takes a column from.
pub(crate) const ARE_KEPT: &str = "SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('permit_vectors') AND attname = 'embedding' AND NOT attisdropped)";

/// Finished projects like `permit`, the likest first, none of them on the parcel that these are the spellings of.
///
/// # Errors
/// When the database fails, or has no vectors.
pub(super) async fn find(
    client: &Client,
    permit: &Permit,
    blocks: &[&str],
    lots: &[&str],
) -> Result<Vec<Neighbor>, Error> {
    let Some(embedding) = Project::of(permit).and_then(|project| project.embedding()) else { return Ok(Vec::new()) };
    let (columns, most) = (Neighbor::COLUMNS.join(", permits."), SIMILAR_MAX as i64);
    let like = format!(
        "SELECT permits.{columns} FROM (
            SELECT permit_number, embedding <=> $1::text::halfvec AS distance FROM permit_vectors
            ORDER BY embedding <=> $1::text::halfvec LIMIT {EXAMINED_MAX}
        ) near CROSS JOIN LATERAL (
            SELECT * FROM permits WHERE permit_number = near.permit_number ORDER BY record_id LIMIT 1
        ) permits
        WHERE distance < {DISTANCE_MAX} AND permits.permit_number <> $2
          AND NOT (coalesce(block = ANY($3), false) AND coalesce(lot = ANY($4), false))
        ORDER BY distance, permits.permit_number LIMIT $5"
    );
    let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
        (&embedding, Type::TEXT),
        (&permit.permit_number, Type::TEXT),
        (&blocks, Type::TEXT_ARRAY),
        (&lots, Type::TEXT_ARRAY),
        (&most, Type::INT8),
    ];
    let rows = client.query_typed(&like, &parameters).await?;
    rows.iter().map(|row| Neighbor::read(row, 0)).collect()
}

/// Places of a vector, two bytes each: a description has some ten words, so that two rarely meet at one place.
pub(crate) const DIMENSIONS: usize = 128;
/// Vectors that an index lookup gives, of which those of the parcel itself fall out; pgvector's `hnsw.ef_search` is 40.
const EXAMINED_MAX: usize = 40;
/// Cosine distance from which on projects are not called alike; 0 is the same direction, 1 has nothing in common.
const DISTANCE_MAX: &str = "0.5";
/// What a word counts, a kind of permit, and a cost of about the same size.
const WORD: i32 = 4;
const KIND: i32 = 3;
const COST: i32 = 2;
/// Shorter words tell nothing.
const WORD_LETTERS_MIN: usize = 3;
/// "remodel", "remodeling" and "remodelled" begin alike.
const STEM_LETTERS: usize = 6;
/// Words of a description that count; the city's longest has some 200.
const WORDS_MAX: usize = 64;
/// Words of half of all descriptions.
const EVERYWHERE: [&str; 14] =
    ["and", "appl", "existing", "for", "from", "into", "new", "of", "per", "permit", "plans", "the", "under", "with"];

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousandth of the cosine of the angle between two.
    fn cosine_permille(one: &Project<'_>, other: &Project<'_>) -> i64 {
        let numbers = |project: &Project<'_>| -> Vec<i64> {
            let text = project.embedding().unwrap();
            text.trim_matches(['[', ']']).split(',').map(|number| number.parse().unwrap()).collect()
        };
        let dot = |one: &[i64], other: &[i64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<i64>();
        let (one, other) = (numbers(one), numbers(other));
        (dot(&one, &other) as f64 * 1000.0 / (dot(&one, &one) as f64 * dot(&other, &other) as f64).sqrt()) as i64
    }

    #[test]
    fn like_projects_are_nearer_than_others() {
        let kitchen = Project { description: "Kitchen remodel, new cabinets", kind: "otc", cost: Some(40_000) };
        for (other, least, most) in [
            (Project { description: "KITCHEN REMODELING: CABINETS", ..kitchen }, 999, 1_000),
            (Project { cost: Some(60_000), ..kitchen }, 900, 1_000),
            (Project { cost: Some(40_000_000), ..kitchen }, 800, 970),
            (Project { kind: "new construction", ..kitchen }, 700, 970),
            (Project { description: "Bathroom remodel", ..kitchen }, 300, 800),
            (Project { description: "Reroofing", kind: "sign", cost: Some(900) }, -300, 300),
        ] {
            let found = cosine_permille(&kitchen, &other);
            assert!((least..=most).contains(&found), "{found} for {other:?}");
        }
    }

    #[test]
    fn the_embedding_of_a_release_is_that_of_the_next() {
        let vector = Project { description: "reroofing", kind: "", cost: None }.embedding().unwrap();
        let places: Vec<_> = vector
            .trim_matches(['[', ']'])
            .split(',')
            .enumerate()
            .filter(|(_, number)| *number != "0")
            .map(|(place, number)| format!("{place}:{number}"))
            .collect();
        // Another one makes every stored vector worthless: raise the version in WANTED of cron/likeness.rs with it.
        assert_eq!(places, ["30:4"]);
    }

    #[test]
    fn descriptions_without_a_word_have_no_place() {
        for description in ["", "  ", "of 12 at 7-", "new 2000 plans for the permit"] {
            assert_eq!(Project { description, ..Project::default() }.embedding(), None, "{description:?}");
        }
        assert!(words(&"word ".repeat(500)).len() == 1);
    }
}
