//! An axis from zero to a round number.

/// Steps between zero and the top, about.
const STEPS: f64 = 4.0;

/// From zero to the first round number that is not less than the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    step: f64,
    steps: u32,
}

impl Scale {
    /// A scale that reaches `max`; zero, and what is no finite number, is taken for one. Of whole numbers no part has a
    /// tick.
    pub(super) fn to(max: f64, whole: bool) -> Self {
        let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
        let rough = if whole { (max / STEPS).max(1.0) } else { max / STEPS };
        let power = 10f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
        let step = round.clone().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
        // At most six, since a step is no less than a quarter of the greatest value, nearly.
        Self { step, steps: (max / step - 0.001).ceil().max(1.0) as u32 }
    }

    /// Where on the axis a value is, from zero to one.
    pub(super) fn part(self, value: f64) -> f64 {
        (value / (self.step * f64::from(self.steps))).clamp(0.0, 1.0)
    }

    /// The values that have a line: zero, each step, the top.
    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        (0..=self.steps).map(move |step| self.step * f64::from(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_round_and_close() {
        for (max, top, ticks) in [
            (4.0, 4.0, 5),
            (0.0, 1.0, 3),
            (f64::NAN, 1.0, 3),
            (1.0, 1.0, 3),
            (7.0, 8.0, 5),
            (10.0, 10.0, 3),
            (11.0, 15.0, 4),
            (365.0, 400.0, 5),
            (0.03, 0.03, 4),
            (1_234_567.0, 1_500_000.0, 4),
        ] {
            let scale = Scale::to(max, false);
            let reached = scale.ticks().last().unwrap();
            assert!((reached - top).abs() < top * 1e-9, "{max}: {reached}");
            assert_eq!(scale.ticks().count(), ticks, "{max}");
        }
        for (max, ticks) in [(0.0, [0.0, 1.0].as_slice()), (1.0, &[0.0, 1.0]), (3.0, &[0.0, 1.0, 2.0, 3.0])] {
            assert_eq!(Scale::to(max, true).ticks().collect::<Vec<_>>(), ticks, "{max}");
        }
    }

    #[test]
    fn every_value_up_to_the_greatest_has_its_place() {
        for max in [0.7, 3.0, 19.0, 1e6] {
            let scale = Scale::to(max, false);
            assert!(scale.part(max) > 0.6 && scale.part(max) <= 1.0, "{max}");
            assert_eq!((scale.part(0.0), scale.part(-1.0), scale.part(max * 10.0)), (0.0, 0.0, 1.0));
        }
    }
}
