//! What someone watches: permits, parcels, addresses, people and firms, neighborhoods.

use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::User;
use crate::db::Pool;
use crate::error::Error;
use crate::permits::limits::NAME_CHARS_MIN;
use crate::permits::parcel::Parcel;
use crate::permits::search::query::{Lookup, Query, Street};

/// One thing that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) watch_id: i64,
    pub(crate) kind: Kind,
    /// As the person wrote it.
    pub(crate) label: String,
    /// Where it can be looked at.
    pub(crate) href: String,
}

/// The kinds of things that can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A permit, by its number.
    Permit,
    /// A block and lot.
    Parcel,
    /// A house number on a street.
    Address,
    /// A person or a firm on permits.
    Entity,
    /// A neighborhood, as the city names it.
    Neighborhood,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Permit, Self::Parcel, Self::Address, Self::Entity, Self::Neighborhood];

    /// As forms and the database have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Parcel => "parcel",
            Self::Address => "address",
            Self::Entity => "entity",
            Self::Neighborhood => "neighborhood",
        }
    }

    /// In words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Permit => "Permit",
            Self::Parcel => "Block and lot",
            Self::Address => "Address",
            Self::Entity => "Person or firm",
            Self::Neighborhood => "Neighborhood",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What is to be watched, read and put into its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    label: String,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Permit(String),
    Parcel(Parcel),
    Address { number: String, street: Street },
    Entity(String),
    Neighborhood(String),
}

/// Why something cannot be watched, in words for the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("A permit number has 5 to 20 letters, digits and dashes, such as 202301015555.")]
    Permit,
    #[error("A block and lot look like 3507/004.")]
    Parcel,
    #[error("An address has a house number and a street, such as 1455 Market St.")]
    Address,
    #[error("A name has {NAME_CHARS_MIN} to {LABEL_CHARS_MAX} characters.")]
    Entity,
    #[error("The name of a neighborhood has 3 to {LABEL_CHARS_MAX} characters, such as Mission or Hayes Valley.")]
    Neighborhood,
    #[error("You watch {WATCHES_MAX} things already, which is as many as there may be. Take one out first.")]
    Full,
}

/// Things that one person may watch: what a brief can show on a page.
pub(crate) const WATCHES_MAX: i64 = 50;

/// Longest text that someone may write here.
pub(crate) const LABEL_CHARS_MAX: usize = 80;

impl Subject {
    /// Reads what someone wrote: `3507 4` as a parcel is `3507/004`.
    ///
    /// # Errors
    /// When it is nothing of this kind.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, Refusal> {
        let label = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_short = label.chars().nth(LABEL_CHARS_MAX).is_none() && !label.chars().any(char::is_control);
        let long_enough = |chars_min: usize| is_short && label.chars().count() >= chars_min;
        let what = match kind {
            Kind::Permit => {
                let fits = (5..=20).contains(&label.len())
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                fits.then(|| What::Permit(label.to_ascii_uppercase())).ok_or(Refusal::Permit)?
            }
            Kind::Parcel => {
                let mut parts = label.split(['/', ' ', '-']).filter(|part| !part.is_empty());
                let (block, lot) = parts.next().zip(parts.next()).ok_or(Refusal::Parcel)?;
                let parcel = Parcel::parse(block, lot).map_err(|_| Refusal::Parcel)?;
                parts.next().is_none().then_some(What::Parcel(parcel)).ok_or(Refusal::Parcel)?
            }
            Kind::Address if is_short => {
                let lookups = Query::parse(&label).map_err(|_| Refusal::Address)?.lookups;
                let address = lookups.into_iter().find_map(|lookup| match lookup {
                    Lookup::Address { number, street } => Some(What::Address { number, street }),
                    _ => None,
                });
                address.ok_or(Refusal::Address)?
            }
            Kind::Address => return Err(Refusal::Address),
            Kind::Entity => {
                long_enough(NAME_CHARS_MIN).then(|| What::Entity(label.to_lowercase())).ok_or(Refusal::Entity)?
            }
            Kind::Neighborhood => {
                long_enough(3).then(|| What::Neighborhood(label.to_lowercase())).ok_or(Refusal::Neighborhood)?
            }
        };
        Ok(Self { label, what })
    }

    fn kind(&self) -> Kind {
        match &self.what {
            What::Permit(_) => Kind::Permit,
            What::Parcel(_) => Kind::Parcel,
            What::Address { .. } => Kind::Address,
            What::Entity(_) => Kind::Entity,
            What::Neighborhood(_) => Kind::Neighborhood,
        }
    }

    /// The house number and the street.
    fn address(&self) -> Option<(&String, &Street)> {
        match &self.what {
            What::Address { number, street } => Some((number, street)),
            _ => None,
        }
    }

    /// Its one spelling, by which two are the same.
    fn canonical(&self) -> String {
        match &self.what {
            What::Permit(text) | What::Entity(text) | What::Neighborhood(text) => text.clone(),
            What::Parcel(parcel) => parcel.to_string(),
            What::Address { number, street } => {
                // Of the spellings one, whichever was typed; all would be too long to keep.
                let name = street.names.iter().min().map(String::as_str).unwrap_or_default();
                let suffix = street.suffixes.first().map(|suffix| format!(" ({suffix})")).unwrap_or_default();
                format!("{number} {name}{suffix}")
            }
        }
    }
}

/// Adds what is not there, unless there are too many. One addition of a person at a time, so that the bound holds.
const ADD: &str = "
    INSERT INTO watch_items (user_id, watch_type, subject, label, permit_number, block, lot, street_number, street_names,
                             street_suffixes, street_whole, entity_name, neighborhood)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13
     WHERE (SELECT count(*) FROM watch_items WHERE user_id = $1) < $14
    ON CONFLICT (user_id, watch_type, subject) DO NOTHING
    RETURNING watch_id";

/// An address is the same whose street has a spelling of this one: what was stored before has others, or fewer.
const EXISTING: &str = "
    SELECT watch_id FROM watch_items
     WHERE user_id = $1 AND watch_type = $2
       AND (subject = $3
            OR street_number = $4 AND street_names && $5 AND street_suffixes[1] IS NOT DISTINCT FROM $6)
     ORDER BY watch_id LIMIT 1";

const LIST: &str = "SELECT watch_id, watch_type, label, subject FROM watch_items WHERE user_id = $1 ORDER BY watch_type, subject LIMIT $2";

impl User {
    /// Watches something. What is watched already stays as it is, and its number is given.
    ///
    /// # Errors
    /// When there are [`WATCHES_MAX`] already, or the database does not take it.
    pub(crate) async fn watch(&self, pool: &Pool, subject: &Subject) -> Result<Result<i64, Refusal>, Error> {
        let (kind, canonical) = (subject.kind().as_str(), subject.canonical());
        let mut connection = pool.get().await?;
        let transaction = connection.transaction().await?;
        let user = [(&self.user_id as &(dyn ToSql + Sync), Type::INT8)];
        transaction.query_typed("SELECT 1 FROM users WHERE user_id = $1 FOR UPDATE", &user).await?;
        let (number, street) = subject.address().unzip();
        let (names, suffix) = (street.map(Street::all_names), street.and_then(|street| street.suffixes.first()));
        let same: [(&(dyn ToSql + Sync), Type); 6] = [
            (&self.user_id, Type::INT8),
            (&kind, Type::TEXT),
            (&canonical, Type::TEXT),
            (&number, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
            (&suffix, Type::TEXT),
        ];
        let existing = transaction.query_typed(EXISTING, &same).await?;
        let rows =
            if existing.is_empty() { self.add(&transaction, kind, &canonical, subject).await? } else { existing };
        transaction.commit().await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.ok_or(Refusal::Full))
    }

    async fn add(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        kind: &str,
        canonical: &str,
        subject: &Subject,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let (mut permit, mut parcel, mut entity, mut neighborhood) = (None, None, None, None);
        match &subject.what {
            What::Permit(number) => permit = Some(number),
            What::Parcel(of) => parcel = Some(of),
            What::Address { .. } => {}
            What::Entity(name) => entity = Some(name),
            What::Neighborhood(name) => neighborhood = Some(name),
        }
        let (block, lot) = (parcel.map(Parcel::block), parcel.map(Parcel::lot));
        let (number, street) = subject.address().unzip();
        let (names, suffixes) = (street.map(Street::all_names), street.map(|street| &street.suffixes));
        let whole = street.map(|street| &street.whole);
        let parameters: [(&(dyn ToSql + Sync), Type); 14] = [
            (&self.user_id, Type::INT8),
            (&kind, Type::TEXT),
            (&canonical, Type::TEXT),
            (&subject.label, Type::TEXT),
            (&permit, Type::TEXT),
            (&block, Type::TEXT),
            (&lot, Type::TEXT),
            (&number, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
            (&suffixes, Type::TEXT_ARRAY),
            (&whole, Type::TEXT_ARRAY),
            (&entity, Type::TEXT),
            (&neighborhood, Type::TEXT),
            (&WATCHES_MAX, Type::INT8),
        ];
        transaction.query_typed(ADD, &parameters).await
    }

    /// Ends watching something. What is not there, or is another person's, is left as it is.
    ///
    /// # Errors
    /// When the database does not take it.
    pub(crate) async fn unwatch(&self, pool: &Pool, watch_id: i64) -> Result<(), Error> {
        let sql = "DELETE FROM watch_items WHERE user_id = $1 AND watch_id = $2 RETURNING 1";
        pool.get().await?.query_typed(sql, &[(&self.user_id, Type::INT8), (&watch_id, Type::INT8)]).await?;
        Ok(())
    }

    /// What this person watches.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn watches(&self, pool: &Pool) -> Result<Vec<Watch>, Error> {
        let rows =
            pool.get().await?.query_typed(LIST, &[(&self.user_id, Type::INT8), (&WATCHES_MAX, Type::INT8)]).await?;
        let watch = |row: &Row| {
            let kind = Kind::find(row.try_get(1)?).ok_or_else(|| Error::bug("an unknown kind of watch"))?;
            let (label, subject): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            let href = match kind {
                Kind::Parcel => format!("/report/{subject}"),
                Kind::Permit => format!("/permit/{subject}"),
                _ => format!("/search?{}", serde_urlencoded::to_string([("q", &label)]).unwrap_or_default()),
            };
            Ok(Watch { watch_id: row.try_get(0)?, kind, label, href })
        };
        rows.iter().map(watch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_has_one_spelling_and_nonsense_is_refused() {
        let long = "x".repeat(LABEL_CHARS_MAX + 1);
        for (kind, text, expected) in [
            (Kind::Permit, " 202301015555 ", Ok("202301015555")),
            (Kind::Permit, "m12345s", Ok("M12345S")),
            (Kind::Permit, "1 2 3 4 5", Err(Refusal::Permit)),
            (Kind::Permit, "1234", Err(Refusal::Permit)),
            (Kind::Parcel, "3507/4", Ok("3507/004")),
            (Kind::Parcel, "3507 004", Ok("3507/004")),
            (Kind::Parcel, "3507", Err(Refusal::Parcel)),
            (Kind::Parcel, "3507/4/5", Err(Refusal::Parcel)),
            (Kind::Address, "market st", Err(Refusal::Address)),
            (Kind::Address, &long, Err(Refusal::Address)),
            (Kind::Entity, "Smith  & SONS", Ok("smith & sons")),
            (Kind::Entity, "x", Err(Refusal::Entity)),
            (Kind::Entity, &long, Err(Refusal::Entity)),
            (Kind::Neighborhood, "Hayes Valley", Ok("hayes valley")),
            (Kind::Neighborhood, "", Err(Refusal::Neighborhood)),
        ] {
            let read = Subject::parse(kind, text).map(|subject| subject.canonical());
            assert_eq!(read, expected.map(str::to_owned), "{kind:?} {text}");
        }
        let address = |text| Subject::parse(Kind::Address, text).unwrap().canonical();
        assert_eq!(address("1455 Market St"), address("1455  MARKET street"));
        assert_ne!(address("1455 Market St"), address("1456 Market St"));
        assert_eq!(address("12 St Francis Blvd"), address("12 Saint Francis Boulevard"));
        // Of a street with many spellings too, what is kept fits into its column.
        let longest = format!("1 s a {} ave n", "b ".repeat((LABEL_CHARS_MAX - 12) / 2).trim_end());
        assert!(longest.len() > LABEL_CHARS_MAX - 3 && address(&longest).len() <= 200, "{longest}");
    }
}
