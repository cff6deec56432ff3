//! Where things are: neighbourhoods with their streets, and parcels with blocks and lots of the city's shapes.

use std::collections::BTreeMap;

use super::dice::Dice;

/// One parcel.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) block: String,
    pub(super) lot: String,
    pub(super) number: u32,
    pub(super) street: (&'static str, &'static str),
    pub(super) area: &'static Area,
    /// Millionths of a degree.
    pub(super) longitude: i32,
    pub(super) latitude: i32,
}

/// One neighbourhood, as the city's analysis boundaries name it.
pub(super) struct Area {
    pub(super) name: &'static str,
    pub(super) district: u8,
    pub(super) zipcode: &'static str,
    /// First block and how many.
    blocks: (u32, u32),
    /// Centre and half width, in ten-thousandths of a degree.
    centre: (i32, i32),
    half: (i32, i32),
    /// Share of all parcels.
    weight: u32,
    streets: &'static [(&'static str, &'static str)],
}

/// The parcel that the site's examples show, and how many permits it has.
pub(super) const LANDMARK_PERMITS: u32 = 44;

pub(super) fn landmark() -> Parcel {
    let area = &AREAS[0];
    Parcel {
        block: "3507".to_owned(),
        lot: "004".to_owned(),
        number: 1455,
        street: ("Market", "St"),
        area,
        longitude: -122_417_600,
        latitude: 37_775_900,
    }
}

/// Gives out parcels, each once.
#[derive(Default)]
pub(super) struct Map {
    lots: BTreeMap<(u32, bool), u32>,
}

impl Map {
    pub(super) fn next(&mut self, dice: &mut Dice) -> Parcel {
        let area = &AREAS[dice.weighted(&weights())];
        // The landmark's block lies in no area, so its parcel is not given out again.
        let block = area.blocks.0 + dice.below(area.blocks.1);
        // A few blocks were divided and carry a letter.
        let divided = dice.chance(30);
        let taken = self.lots.entry((block, divided)).or_default();
        *taken += 1;
        let lot = *taken;
        Parcel {
            block: format!("{block:04}{}", if divided { "A" } else { "" }),
            lot: format!("{lot:03}{}", if lot.is_multiple_of(23) { "A" } else { "" }),
            number: block % 37 * 100 + lot * 2 + block % 2,
            street: area.streets[block as usize % area.streets.len()],
            area,
            longitude: spread(dice, area.centre.0, area.half.0),
            latitude: spread(dice, area.centre.1, area.half.1),
        }
    }
}

fn spread(dice: &mut Dice, centre: i32, half: i32) -> i32 {
    let half = half * 100;
    centre * 100 - half + dice.below(2 * half.unsigned_abs() + 1).cast_signed()
}

fn weights() -> [(usize, u32); AREAS.len()] {
    std::array::from_fn(|index| (index, AREAS[index].weight))
}

macro_rules! area {
    ($name:literal, $district:literal, $zipcode:literal, $blocks:expr, $centre:expr, $half:expr, $weight:literal, [$($street:literal $suffix:literal),+]) => {
        Area {
            name: $name,
            district: $district,
            zipcode: $zipcode,
            blocks: $blocks,
            centre: $centre,
            half: $half,
            weight: $weight,
            streets: &[$(($street, $suffix)),+],
        }
    };
}

#[rustfmt::skip]
const AREAS: [Area; 30] = [
    area!("South of Market", 6, "94103", (3700, 85), (-1_224_072, 377_779), (85, 53), 50, ["Howard" "St", "Folsom" "St", "Harrison" "St", "Brannan" "St", "Townsend" "St", "Natoma" "St"]),
    area!("Financial District/South Beach", 3, "94104", (233, 60), (-1_223_984, 377_911), (51, 42), 60, ["California" "St", "Montgomery" "St", "Sansome" "St", "Battery" "St", "Sacramento" "St", "Bush" "St"]),
    area!("Mission", 9, "94110", (3531, 130), (-1_224_177, 377_605), (73, 91), 80, ["Valencia" "St", "Bryant" "St", "Mission" "St", "Folsom" "St", "South Van Ness" "Av", "Capp" "St", "Shotwell" "St"]),
    area!("Pacific Heights", 2, "94115", (560, 80), (-1_224_359, 377_897), (89, 15), 45, ["Sacramento" "St", "Jackson" "St", "Pine" "St", "Pacific" "Av", "Fillmore" "St", "Broderick" "St"]),
    area!("Nob Hill", 3, "94109", (218, 15), (-1_224_148, 377_923), (44, 20), 30, ["Jones" "St", "Sutter" "St", "Taylor" "St", "Post" "St", "Leavenworth" "St"]),
    area!("Bayview Hunters Point", 10, "94124", (4591, 800), (-1_223_915, 377_280), (141, 145), 65, ["03rd" "St", "Innes" "Av", "Jerrold" "Av", "Palou" "Av", "Quesada" "Av", "Revere" "Av", "Jamestown" "Av"]),
    area!("Presidio Heights", 2, "94118", (1007, 48), (-1_224_515, 377_874), (57, 20), 20, ["Clay" "St", "Presidio" "Av", "Washington" "St", "Spruce" "St"]),
    area!("Marina", 2, "94123", (442, 110), (-1_224_381, 378_010), (83, 36), 40, ["Lombard" "St", "Chestnut" "St", "Filbert" "St", "Union" "St", "Green" "St", "Pierce" "St"]),
    area!("Sunset/Parkside", 4, "94116", (1800, 620), (-1_224_912, 377_526), (136, 119), 90, ["Taraval" "St", "21st" "Av", "20th" "Av", "23rd" "Av", "30th" "Av", "41st" "Av", "Judah" "St", "Noriega" "St"]),
    area!("Outer Richmond", 1, "94121", (1406, 230), (-1_224_862, 377_790), (130, 45), 55, ["Clement" "St", "Balboa" "St", "26th" "Av", "34th" "Av", "Cabrillo" "St", "21st" "Av"]),
    area!("Hayes Valley", 5, "94102", (794, 60), (-1_224_263, 377_750), (65, 33), 25, ["Hayes" "St", "Octavia" "St", "Fell" "St", "Grove" "St", "Page" "St"]),
    area!("Chinatown", 3, "94108", (161, 55), (-1_224_043, 377_944), (38, 21), 20, ["Grant" "Av", "Jackson" "St", "Powell" "St", "Kearny" "St", "Stockton" "St"]),
    area!("Western Addition", 5, "94115", (695, 90), (-1_224_320, 377_815), (86, 39), 30, ["Eddy" "St", "Webster" "St", "Turk" "St", "Scott" "St", "Golden Gate" "Av"]),
    area!("Potrero Hill", 10, "94107", (3994, 260), (-1_223_956, 377_595), (73, 52), 35, ["De Haro" "St", "Tennessee" "St", "Vermont" "St", "Rhode Island" "St", "Kansas" "St"]),
    area!("Russian Hill", 3, "94109", (26, 90), (-1_224_199, 378_002), (41, 61), 25, ["Larkin" "St", "Hyde" "St", "North Point" "St", "Polk" "St", "Vallejo" "St"]),
    area!("Mission Bay", 6, "94158", (8700, 30), (-1_223_920, 377_713), (74, 54), 10, ["Berry" "St", "Owens" "St", "King" "St", "Channel" "St"]),
    area!("Castro/Upper Market", 8, "94114", (2620, 90), (-1_224_344, 377_626), (65, 47), 40, ["Sanchez" "St", "18th" "St", "Castro" "St", "Eureka" "St", "Noe" "St"]),
    area!("Tenderloin", 6, "94102", (307, 45), (-1_224_152, 377_850), (50, 49), 20, ["Geary" "St", "Ofarrell" "St", "Mason" "St", "Ellis" "St"]),
    area!("Noe Valley", 8, "94114", (2800, 60), (-1_224_325, 377_487), (69, 52), 40, ["24th" "St", "Valley" "St", "Diamond" "St", "29th" "St", "Duncan" "St", "Elizabeth" "St"]),
    area!("North Beach", 3, "94133", (14, 12), (-1_224_116, 378_049), (52, 42), 20, ["Francisco" "St", "Bay" "St", "Beach" "St", "Columbus" "Av"]),
    area!("Portola", 9, "94134", (5800, 80), (-1_224_093, 377_255), (75, 36), 25, ["San Bruno" "Av", "Woolsey" "St", "Yale" "St", "University" "St"]),
    area!("Bernal Heights", 9, "94110", (5513, 200), (-1_224_173, 377_426), (75, 64), 45, ["Peralta" "Av", "Cortland" "Av", "Ellsworth" "St", "Tiffany" "Av", "Anderson" "St"]),
    area!("Haight Ashbury", 5, "94117", (1220, 56), (-1_224_449, 377_704), (80, 40), 30, ["Haight" "St", "Waller" "St", "Ashbury" "St", "Clayton" "St", "Masonic" "Av"]),
    area!("Inner Sunset", 7, "94122", (1735, 60), (-1_224_669, 377_608), (86, 57), 30, ["08th" "Av", "12th" "Av", "11th" "Av", "Irving" "St"]),
    area!("West of Twin Peaks", 7, "94127", (2900, 250), (-1_224_613, 377_356), (162, 96), 45, ["Ocean" "Av", "Monterey" "Bl", "West Portal" "Av", "Yerba Buena" "Av"]),
    area!("Oceanview/Merced/Ingleside", 11, "94112", (6943, 190), (-1_224_594, 377_164), (81, 58), 30, ["Broad" "St", "Plymouth" "Av", "Holloway" "Av", "Capitol" "Av"]),
    area!("Inner Richmond", 1, "94118", (1364, 40), (-1_224_641, 377_814), (51, 53), 30, ["11th" "Av", "Geary" "Bl", "03rd" "Av", "California" "St"]),
    area!("Excelsior", 11, "94112", (5909, 270), (-1_224_319, 377_195), (101, 96), 40, ["Geneva" "Av", "Naples" "St", "Silver" "Av", "Madrid" "St", "Lisbon" "St"]),
    area!("Visitacion Valley", 10, "94134", (6189, 130), (-1_224_083, 377_133), (68, 37), 15, ["Campbell" "Av", "Teddy" "Av", "Leland" "Av", "Sunnydale" "Av"]),
    area!("Glen Park", 8, "94131", (6655, 110), (-1_224_324, 377_376), (54, 37), 20, ["Chenery" "St", "Laidley" "St", "Wilder" "St", "Sussex" "St"]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn parcels_are_given_out_once() {
        let (mut dice, mut map) = (Dice::new(3), Map::default());
        let mut seen = BTreeSet::new();
        for _ in 0..5_000 {
            let parcel = map.next(&mut dice);
            assert!(parcel.block.len() >= 4 && parcel.lot.len() >= 3);
            assert_ne!(parcel.block, landmark().block);
            assert!(seen.insert((parcel.block, parcel.lot)));
        }
    }
}
