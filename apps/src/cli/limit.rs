//! `--limit`: how long something may take.

use super::values;
use crate::load::latency::Measure;

/// The figures of a latency that can be limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    P50,
    P90,
    P95,
    P99,
    P99_9,
    P99_99,
    Max,
    Mean,
}

impl Figure {
    const ALL: [Figure; 8] =
        [Figure::P50, Figure::P90, Figure::P95, Figure::P99, Figure::P99_9, Figure::P99_99, Figure::Max, Figure::Mean];

    pub const fn name(self) -> &'static str {
        match self {
            Figure::P50 => "p50",
            Figure::P90 => "p90",
            Figure::P95 => "p95",
            Figure::P99 => "p99",
            Figure::P99_9 => "p99.9",
            Figure::P99_99 => "p99.99",
            Figure::Max => "max",
            Figure::Mean => "mean",
        }
    }
}

/// A figure of a latency, and what it must not exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    pub measure: Measure,
    pub figure: Figure,
    pub max_ns: u64,
}

/// `response.p99=1ms`.
pub fn limit(text: &str) -> Result<Limit, String> {
    let wrong = || format!("'{text}' is no limit; write for example response.p99=1ms");
    let (what, time) = text.split_once('=').ok_or_else(wrong)?;
    let (measure, figure) = what.split_once('.').ok_or_else(wrong)?;
    let measure = Measure::ALL.into_iter().find(|m| m.name() == measure).ok_or_else(|| {
        let names: Vec<&str> = Measure::ALL.iter().map(|m| m.name()).collect();
        format!("'{measure}' is not measured; there are {}", names.join(", "))
    })?;
    let figure = Figure::ALL.into_iter().find(|f| f.name() == figure).ok_or_else(|| {
        let names: Vec<&str> = Figure::ALL.iter().map(|f| f.name()).collect();
        format!("'{figure}' is no figure of a latency; there are {}", names.join(", "))
    })?;
    let max_ns = values::positive_duration(time)?.as_nanos() as u64;
    Ok(Limit { measure, figure, max_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_a_measure_a_figure_and_a_time() {
        let one = Limit { measure: Measure::Request, figure: Figure::P99, max_ns: 1_500_000 };
        assert_eq!(limit("request.p99=1.5ms"), Ok(one));
        assert_eq!(limit("first_byte.p99.9=10us").map(|l| l.figure), Ok(Figure::P99_9));
        assert_eq!(
            limit("response.p99.99=10us").map(|l| (l.measure, l.figure)),
            Ok((Measure::Response, Figure::P99_99))
        );
        for (text, want) in [
            ("request", "is no limit"),
            ("request=1ms", "is no limit"),
            ("dns.p99=1ms", "not measured; there are handshake, first_byte"),
            ("request.p94=1ms", "there are p50, p90, p95"),
            ("request.p99=soon", "no unit of time"),
            ("request.p99=0s", "longer than zero"),
        ] {
            let got = limit(text).unwrap_err();
            assert!(got.contains(want), "{text}: {got}");
        }
    }
}
