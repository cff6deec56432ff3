//! What kind of work a permit is for, by words in its description.

/// A kind of work.
#[derive(Debug)]
pub(crate) struct Category {
    pub(crate) name: &'static str,
    /// Words that make a permit one of these, wherever they stand, even within another word.
    pub(crate) words: &'static [&'static str],
    pub(crate) risk: u8,
    /// Inspections that such work usually takes.
    pub(crate) inspections: f64,
}

impl Category {
    /// The first category one of whose words occurs.
    pub(crate) fn of(description: &str, permit_type_definition: &str) -> &'static Self {
        let text = format!("{description} {permit_type_definition}").to_lowercase();
        let fits = |category: &&Self| category.words.iter().any(|word| text.contains(word));
        CATEGORIES.iter().find(fits).unwrap_or(&GENERAL)
    }

    /// All categories in the order in which they are tried; the last takes what is left.
    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        CATEGORIES.iter().chain([&GENERAL])
    }

    pub(super) fn is_life_safety(&self) -> bool {
        matches!(self.name, "seismic_structural" | "fire_safety" | "structural")
    }

    pub(super) fn is_much_inspected(&self) -> bool {
        matches!(self.name, "kitchen_bath" | "adu" | "new_construction")
    }
}

static GENERAL: Category = Category { name: "general", words: &[], risk: 30, inspections: 2.0 };

static CATEGORIES: [Category; 12] = [
    Category {
        name: "seismic_structural",
        words: &[
            "seismic",
            "earthquake",
            "retrofit",
            "soft story",
            "foundation bolting",
            "brace and bolt",
            "cripple wall",
            "ebb",
            "house bolting",
        ],
        risk: 100,
        inspections: 4.2,
    },
    Category {
        name: "fire_safety",
        words: &[
            "fire alarm",
            "fire sprinkler",
            "fire suppression",
            "fire escape",
            "fire rated",
            "smoke detector",
            "fire protection",
        ],
        risk: 85,
        inspections: 3.5,
    },
    Category {
        name: "adu",
        words: &[
            "adu",
            "accessory dwelling",
            "in-law",
            "granny flat",
            "garage conversion to dwelling",
            "secondary unit",
        ],
        risk: 70,
        inspections: 6.8,
    },
    Category {
        name: "new_construction",
        words: &["new construction", "new building", "ground up", "erect", "new structure", "construct new"],
        risk: 80,
        inspections: 8.5,
    },
    Category {
        name: "kitchen_bath",
        words: &[
            "kitchen remodel",
            "bathroom remodel",
            "kitchen renovation",
            "bath renovation",
            "new kitchen",
            "new bathroom",
        ],
        risk: 45,
        inspections: 3.0,
    },
    Category {
        name: "electrical",
        words: &["electrical", "wiring", "panel upgrade", "service upgrade", "outlet", "circuit"],
        risk: 55,
        inspections: 2.5,
    },
    Category {
        name: "plumbing",
        words: &["plumbing", "water heater", "sewer", "drain", "gas line", "water line", "repipe"],
        risk: 50,
        inspections: 2.5,
    },
    Category {
        name: "structural",
        words: &["structural", "load bearing", "shear wall", "foundation", "beam", "column", "retaining wall"],
        risk: 90,
        inspections: 4.0,
    },
    Category { name: "windows_doors", words: &["window", "door", "skylight", "glazing"], risk: 25, inspections: 1.5 },
    Category {
        name: "reroofing",
        words: &["reroof", "re-roof", "roofing", "new roof", "roof replacement"],
        risk: 10,
        inspections: 1.2,
    },
    Category {
        name: "solar",
        words: &["solar", "photovoltaic", "pv panel", "battery storage", "ev charger", "ev charging"],
        risk: 20,
        inspections: 1.5,
    },
    Category {
        name: "demolition",
        words: &["demolition", "demolish", "tear down", "raze"],
        risk: 65,
        inspections: 2.0,
    },
];
