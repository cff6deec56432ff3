//! The tables `[authority.*]`.

use super::PolicyError;
use super::reader::{Entry, Section};
use super::upstream::read_breaker;
use crate::breaker;
use crate::policy::{Authority, Reach};

pub(super) fn read_all(root: &Section<'_>) -> Result<[Reach; Authority::ALL.len()], PolicyError> {
    let mut reaches = [Reach::default(); Authority::ALL.len()];
    let Some(sections) = root.get("authority").map(Entry::section).transpose()? else { return Ok(reaches) };
    let words = Authority::ALL.map(Authority::as_str);
    sections.only(&words)?;
    for (reach, word) in reaches.iter_mut().zip(words) {
        if let Some(section) = sections.get(word).map(Entry::section).transpose()? {
            *reach = read(&section)?;
        }
    }
    Ok(reaches)
}

fn read(section: &Section<'_>) -> Result<Reach, PolicyError> {
    section.only(&["deadline", "breaker"])?;
    let default = Reach::breaker_default();
    let breaker = match section.get("breaker").map(Entry::section).transpose()? {
        Some(section) => read_breaker(&section, default)?,
        None => breaker::Config::new(default).map_err(|error| section.unfit(&error))?,
    };
    Ok(Reach { deadline: section.time_or("deadline", Reach::DEADLINE, Reach::DEADLINE_DEFAULT)?, breaker })
}
