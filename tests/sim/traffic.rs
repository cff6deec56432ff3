//! When requests come, and where.

use seawall_core::limit::distributed::Mode;

use crate::measure::nanos;
use crate::random::{Random, Zipf};
use crate::world::Scenario;

/// A pattern of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Traffic {
    /// At an even rate, over isolates by Zipf's law.
    Steady,
    /// Nothing, then everything in a tenth of the window, at all isolates alike.
    Bursts,
    /// Just enough everywhere to be granted much and to keep it for thirty leases; then everything at once.
    Hoard,
}

impl Traffic {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Bursts => "bursts",
            Self::Hoard => "hoard",
        }
    }
}

/// The requests of a scenario, one after the other.
pub(crate) struct Arrivals {
    traffic: Traffic,
    zipf: Zipf,
    isolates: u64,
    gap_ns: u64,
    window_ns: u64,
    /// For how long the hoarder keeps what it has.
    quiet_ns: u64,
    now_ns: u64,
}

impl Arrivals {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let quota = scenario.terms.quota();
        let per_window = u64::from(quota.limit().get()) * scenario.load_permille / 1000;
        let window_ns = nanos(quota.window());
        let ttl_ns = match scenario.terms.mode() {
            Mode::Lease { ttl, .. } => nanos(*ttl),
            Mode::Async { sync_every, .. } => nanos(*sync_every),
            Mode::Exact => 1_000_000_000,
        };
        Self {
            traffic: scenario.traffic,
            zipf: Zipf::new(scenario.isolates as usize),
            isolates: u64::from(scenario.isolates),
            gap_ns: window_ns / per_window.max(1),
            window_ns,
            quiet_ns: 30 * ttl_ns,
            now_ns: 0,
        }
    }

    /// When the next request comes, and to which isolate.
    pub(crate) fn next(&mut self, random: &mut Random) -> (u64, usize) {
        let gap = |mean: u64, random: &mut Random| random.below(2 * mean + 1);
        match self.traffic {
            Traffic::Steady => {
                self.now_ns += gap(self.gap_ns, random);
                (self.now_ns, self.zipf.draw(random))
            }
            Traffic::Bursts => {
                self.now_ns += gap(self.gap_ns / 10, random);
                let phase = self.now_ns % self.window_ns;
                if phase > self.window_ns / 10 {
                    self.now_ns += self.window_ns - phase;
                }
                (self.now_ns, random.below(self.isolates) as usize)
            }
            Traffic::Hoard => {
                let round = self.quiet_ns + self.window_ns / 10;
                let quiet = self.now_ns % round < self.quiet_ns;
                self.now_ns += gap(if quiet { self.gap_ns * 2 } else { self.gap_ns / 20 }, random);
                (self.now_ns, random.below(self.isolates) as usize)
            }
        }
    }
}
