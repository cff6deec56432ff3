//! How much of what may be held each isolate gets.

/// What all isolates need to hold, summed up in two ways.
///
/// Where they need more than may be held, one half of it is shared by need and the other by the root of need. With
/// grants in proportion to the root the isolates ask least often in all (of all `g` with one sum, those as the root of `r`
/// make the sum of `r / g` least); those in proportion to need last equally long everywhere, so that nobody runs dry while
/// an answer is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Needed {
    units: u64,
    roots: u64,
}

impl Needed {
    /// One isolate needs another number of units.
    pub(super) fn change(&mut self, before: u32, now: u32) {
        self.units = (self.units - u64::from(before)).saturating_add(u64::from(now));
        self.roots = (self.roots - root(before)).saturating_add(root(now));
    }

    /// How many of `most` units an isolate may hold that needs `need` of them, which are in the sums.
    pub(super) fn share(&self, need: u32, most: u32) -> u32 {
        if self.units <= u64::from(most) {
            return need;
        }
        let half = |part: u64, whole: u64| u128::from(most) * u128::from(part) / (2 * u128::from(whole.max(1)));
        let share = half(u64::from(need), self.units) + half(root(need), self.roots);
        u32::try_from(share).unwrap_or(u32::MAX).min(need)
    }
}

/// The root of a number of units, in 256ths.
fn root(units: u32) -> u64 {
    (u64::from(units) << 16).isqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_held_is_shared_out_and_no_more() {
        let mut needed = Needed::default();
        let needs = [0, 1, 10, 100, 1000, 10_000];
        needs.iter().for_each(|need| needed.change(0, *need));
        // There is enough for all.
        assert_eq!(needs.map(|need| needed.share(need, 12_000)), needs);
        let shares = needs.map(|need| needed.share(need, 1000));
        assert_eq!(shares, [0, 1, 10, 38, 153, 792]);
        assert!(shares.iter().sum::<u32>() <= 1000);
        // One that needs nothing any more leaves its share to the others.
        needed.change(10_000, 0);
        assert_eq!(needed.share(1000, 1000), 795);
        needs[..5].iter().for_each(|need| needed.change(*need, 0));
        assert_eq!(needed, Needed::default());
    }
}
