//! The file, and what stands in it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// What a scenario runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// The pipeline over its test platform, in one process.
    Fake,
    /// The built Worker in workerd, under Miniflare.
    Workers,
    /// The built component, under the test host for Spin.
    Spin,
}

impl Platform {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Fake, Self::Workers, Self::Spin];

    /// Its name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fake => "test platform",
            Self::Workers => "Workers",
            Self::Spin => "Spin",
        }
    }
}

/// One behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name; stays the same.
    pub id: String,
    /// What is shown.
    pub says: String,
    /// Whether the edge has [`SECRET`], which opens the operator's paths.
    #[serde(default)]
    pub secret: bool,
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// Where a platform must differ.
    #[serde(default)]
    pub instead: BTreeMap<Platform, Instead>,
}

/// What a platform does in place of the others' steps.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instead {
    /// Why it must.
    pub why: String,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens, or that must be so.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// The origin answers so from now on.
    Origin(Reply),
    /// A visitor asks, and gets this.
    Ask(Ask),
    /// Visitors ask for the same page at once; the origin gets few calls.
    Crowd(Crowd),
    /// A page is asked for until the answer is as it should be: background work ends in its own time.
    Until(Ask),
    /// The clock moves.
    AdvanceMs(u64),
    /// The authority of the shared limits does so from now on.
    Authority(Authority),
    /// So many calls have reached the origin.
    Calls(usize),
    /// The newest of them carried these fields; an empty text stands for none.
    Carried(BTreeMap<String, String>),
}

/// What the origin answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The status.
    #[serde(default = "ok")]
    pub status: u16,
    /// The fields.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
    /// No answer: the connection breaks.
    #[serde(default)]
    pub lost: bool,
}

/// A request and what it gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ask {
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query; `{repeat:N:x}` stands for N times `x`.
    pub target: String,
    /// Which visitor: those with different numbers are different clients.
    #[serde(default = "first")]
    pub from: u8,
    /// The request's fields.
    #[serde(default)]
    pub send: BTreeMap<String, String>,
    /// The request's body.
    #[serde(default)]
    pub send_body: Option<String>,
    /// How often, `{n}` in the target counting from 1; all get the same.
    #[serde(default = "once")]
    pub times: u32,
    /// The status of the answer.
    pub status: u16,
    /// Its body, where that matters.
    #[serde(default)]
    pub body: Option<String>,
    /// Fields of the answer; an empty text stands for none.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Beginnings of fields of the answer.
    #[serde(default)]
    pub begins: BTreeMap<String, String>,
}

/// Visitors who come at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crowd {
    /// Path and query.
    pub target: String,
    /// How many.
    pub visitors: u8,
    /// The body that all get, with 200.
    pub body: String,
    /// Most calls that the origin gets, and fewest is one.
    #[serde(default = "one")]
    pub calls_max: usize,
}

/// What the authority of the shared limits does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// It answers.
    Answers,
    /// It says that it cannot.
    Fails,
    /// It never answers.
    Hangs,
}

impl Scenario {
    /// What happens on a platform.
    #[must_use]
    pub fn steps_on(&self, platform: Platform) -> &[Step] {
        self.instead.get(&platform).map_or(&self.steps, |instead| &instead.steps)
    }
}

/// The operator's secret of every edge that has one.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Every scenario of the file.
///
/// # Errors
/// When the file is no list of scenarios, or two have one name.
pub fn all() -> Result<Vec<Scenario>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        scenario: Vec<Scenario>,
    }
    let File { scenario } = toml::from_str(include_str!("../scenarios.toml")).context("scenarios.toml")?;
    let mut ids: Vec<&str> = scenario.iter().map(|scenario| scenario.id.as_str()).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        anyhow::bail!("two scenarios are called {}", twice[0]);
    }
    Ok(scenario)
}

const fn ok() -> u16 {
    200
}

const fn first() -> u8 {
    1
}

const fn one() -> usize {
    1
}

const fn once() -> u32 {
    1
}

fn get() -> String {
    String::from("GET")
}
