//! Neighborhoods in people's words, matched to the city's analysis boundaries.

/// The city's names in lower case, each with what else people call it.
const NEIGHBORHOODS: &[(&str, &[&str])] = &[
    ("bayview hunters point", &["bayview", "hunters point", "hunter's point", "the bayview"]),
    ("bernal heights", &["bernal"]),
    ("castro/upper market", &["castro", "the castro", "upper market", "eureka valley"]),
    ("chinatown", &[]),
    ("excelsior", &["the excelsior"]),
    ("financial district/south beach", &["financial district", "fidi", "south beach", "downtown"]),
    ("glen park", &[]),
    ("golden gate park", &["ggp"]),
    ("haight ashbury", &["haight", "the haight", "upper haight", "haight-ashbury"]),
    ("hayes valley", &["lower haight"]),
    ("inner richmond", &["richmond"]),
    ("inner sunset", &["sunset"]),
    ("japantown", &["j-town"]),
    ("lakeshore", &["lake merced", "stonestown"]),
    ("lincoln park", &["lands end"]),
    ("lone mountain/usf", &["lone mountain", "usf"]),
    ("marina", &["the marina", "cow hollow"]),
    ("mclaren park", &[]),
    ("mission", &["the mission", "mission district"]),
    ("mission bay", &[]),
    ("nob hill", &[]),
    ("noe valley", &["noe"]),
    ("north beach", &[]),
    ("oceanview/merced/ingleside", &["oceanview", "ocean view", "ingleside", "merced heights", "omi"]),
    ("outer mission", &["crocker amazon"]),
    ("outer richmond", &["richmond"]),
    ("pacific heights", &["pac heights", "lower pacific heights"]),
    ("portola", &["the portola"]),
    ("potrero hill", &["potrero", "dogpatch"]),
    ("presidio", &["the presidio"]),
    ("presidio heights", &["laurel heights"]),
    ("russian hill", &[]),
    ("seacliff", &["sea cliff"]),
    ("south of market", &["soma"]),
    ("sunset/parkside", &["sunset", "outer sunset", "parkside"]),
    ("tenderloin", &["the tenderloin", "civic center"]),
    ("treasure island", &["yerba buena island"]),
    ("twin peaks", &["diamond heights"]),
    ("visitacion valley", &["vis valley", "viz valley"]),
    ("west of twin peaks", &["west portal", "forest hill", "st francis wood", "miraloma park"]),
    ("western addition", &["the fillmore", "nopa", "alamo square"]),
];

/// The city's names for a text in lower case; several where people make no difference.
pub(super) fn find(text: &str) -> Option<Vec<&'static str>> {
    let text = text.strip_suffix(" neighborhood").unwrap_or(text);
    let fits = |(name, others): &&(&'static str, &[&str])| *name == text || others.contains(&text);
    let names: Vec<_> = NEIGHBORHOODS.iter().filter(fits).map(|(name, _)| *name).collect();
    (!names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_call_neighborhoods_by_other_names() {
        for (text, expected) in [
            ("soma", Some(vec!["south of market"])),
            ("noe valley", Some(vec!["noe valley"])),
            ("richmond", Some(vec!["inner richmond", "outer richmond"])),
            ("mission neighborhood", Some(vec!["mission"])),
            ("mission street", None),
            ("oakland", None),
        ] {
            assert_eq!(find(text), expected, "{text}");
        }
    }
}
