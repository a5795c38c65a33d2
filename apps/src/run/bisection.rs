//! Which rate a search tries next. Runs have hiccups: a failure counts when it has come twice, and the rate that is found
//! has gone well twice.

/// The first rate, as a part of the highest.
const FIRST_PART: u64 = 64;
/// Found when what went well and what did not are no farther apart than this.
const PRECISION: f64 = 1.05;

/// What is known of the rates up to a highest.
#[derive(Clone, Debug)]
pub struct Bisection {
    highest: u64,
    /// Rates that went well and are not known to fail, rising.
    good: Vec<u64>,
    /// How often the last of them went well.
    good_runs: usize,
    /// The lowest rate that did not go well and has not gone well since.
    bad: Option<u64>,
    /// The rate of each run that did not go well.
    failed: Vec<u64>,
}

/// So often a failure has to come, and a success at the rate that is found.
const RUNS: usize = 2;

impl Bisection {
    /// `highest`: at least 1.
    pub fn new(highest: u64) -> Bisection {
        Bisection { highest, good: Vec::new(), good_runs: 0, bad: None, failed: Vec::new() }
    }

    /// The highest rate that went well, so far.
    pub fn good(&self) -> Option<u64> {
        self.good.last().copied()
    }

    /// The lowest that did not.
    pub fn bad(&self) -> Option<u64> {
        self.bad
    }

    fn failures(&self, rate: u64) -> usize {
        self.failed.iter().filter(|failed| **failed == rate).count()
    }

    /// The lowest rate that has failed for sure: none from there on is tried again.
    fn ceiling(&self) -> Option<u64> {
        self.failed.iter().copied().filter(|rate| self.failures(*rate) >= RUNS).min()
    }

    /// What to try next; `None`: found, or there is nothing to be found.
    pub fn next(&self) -> Option<u64> {
        match (self.good(), self.bad) {
            (None, None) => Some((self.highest / FIRST_PART).max(1)),
            (None, Some(1)) => (self.failures(1) < RUNS).then_some(1),
            (None, Some(bad)) => Some((bad / 4).max(1)),
            (Some(good), None) if good < self.highest => Some((good * 2).min(self.highest)),
            // Next to a rate that went well, a failure has to come twice.
            (Some(_), Some(bad)) if self.failures(bad) < RUNS => Some(bad),
            (Some(good), Some(bad)) if bad > good + 1 && bad as f64 > good as f64 * PRECISION => {
                Some(good + (bad - good) / 2)
            }
            (Some(good), _) => (self.good_runs < RUNS).then_some(good),
        }
    }

    /// How a run at a rate has gone.
    pub fn tell(&mut self, rate: u64, well: bool) {
        if well {
            self.good_runs = if self.good() == Some(rate) { self.good_runs + 1 } else { 1 };
            self.good.retain(|g| *g < rate);
            self.good.push(rate);
            if self.bad.is_some_and(|bad| bad <= rate) {
                // It was a hiccup; what has failed twice was none.
                self.bad = self.ceiling();
            }
            return;
        }
        self.failed.push(rate);
        self.bad = Some(rate);
        // A rate that went well once may fail later; those below it are what is left.
        if self.good.last() == Some(&rate) {
            self.good.pop();
            self.good_runs = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates tried against a target, told by the number of the run whether it takes a rate.
    fn tried(highest: u64, takes: impl Fn(usize, u64) -> bool) -> (Vec<u64>, Bisection) {
        let mut search = Bisection::new(highest);
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            search.tell(rate, takes(rates.len(), rate));
            rates.push(rate);
            assert!(rates.len() < 60, "{rates:?}");
        }
        (rates, search)
    }

    #[test]
    fn the_highest_rate_is_found_to_a_twentieth_from_below() {
        for takes in [1, 7, 999, 15_624, 15_625, 20_000, 123_456, 999_999] {
            let (rates, found) = tried(1_000_000, |_, rate| rate <= takes);
            let good = found.good().expect("a rate that went well");
            assert!(good <= takes && (takes as f64) < good as f64 * 1.06 + 1.0, "{takes}: {rates:?}");
            let worst = rates.iter().max().copied().unwrap_or(0);
            assert!(worst <= (takes * 2).max(15_625), "a target is not overrun by far: {rates:?}");
        }
    }

    #[test]
    fn one_hiccup_in_any_run_does_not_change_what_is_found() {
        let (whole, calm) = tried(1_000_000, |_, rate| rate <= 123_456);
        for hiccup in 0..whole.len() {
            let (rates, found) = tried(1_000_000, |run, rate| run != hiccup && rate <= 123_456);
            let (good, calm) = (found.good().expect("a rate") as f64, calm.good().expect("a rate") as f64);
            assert!((good / calm - 1.0).abs() < 0.06, "{hiccup}: {rates:?}");
        }
    }

    #[test]
    fn what_is_found_has_gone_well_twice_and_what_limits_it_has_failed_twice() {
        let (rates, found) = tried(1_000_000, |_, rate| rate <= 123_456);
        let times = |rate: Option<u64>| rates.iter().filter(|r| Some(**r) == rate).count();
        assert!(times(found.good()) == 2 && times(found.bad()) == 2, "{rates:?}");
    }

    #[test]
    fn a_rate_that_went_well_by_chance_alone_is_given_up_again() {
        // 400 went well once, when it was first tried.
        let (rates, found) = tried(800, |run, rate| rate <= 300 || (rate == 400 && run < 7));
        let good = found.good().expect("a rate that went well");
        assert!(good <= 300 && good as f64 > 300.0 / 1.06, "{good}: {rates:?}");
    }

    #[test]
    fn a_rate_that_has_failed_twice_is_never_tried_again_nor_one_beyond_it() {
        // Every rate between what the target takes and what it does not fails first and then goes well.
        for (sure, chance) in [(300, 400), (100, 790), (640, 650)] {
            let mut times = std::collections::BTreeMap::new();
            let mut search = Bisection::new(800);
            let (mut rates, mut ceiling) = (Vec::new(), u64::MAX);
            while let Some(rate) = search.next() {
                rates.push(rate);
                assert!(rate < ceiling && rates.len() < 200, "{sure}: {rates:?}");
                let (runs, failed) = times.entry(rate).or_insert((0, 0));
                let well = rate <= sure || (rate < chance && *runs == 1);
                (*runs, *failed) = (*runs + 1, *failed + u32::from(!well));
                if *failed == 2 {
                    ceiling = rate;
                }
                search.tell(rate, well);
            }
            assert!(search.good().is_some_and(|good| good < ceiling), "{sure}: {rates:?}");
        }
    }

    #[test]
    fn a_target_that_takes_all_or_nothing_ends_the_search() {
        let (rates, all) = tried(1000, |_, _| true);
        assert_eq!((all.good(), all.bad(), rates.last()), (Some(1000), None, Some(&1000)));
        let (_, nothing) = tried(1000, |_, _| false);
        assert_eq!((nothing.good(), nothing.bad()), (None, Some(1)));
        assert_eq!(tried(1, |_, _| true).0, [1, 1]);
    }
}
