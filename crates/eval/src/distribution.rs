//! How numbers are spread.

/// Numbers in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distribution {
    /// Their sum divided by their count.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// A tenth of them is at most as large.
    pub p10: f64,
    /// Half of them is at most as large.
    pub p50: f64,
    /// Nine tenths.
    pub p90: f64,
    /// Ninety-nine of a hundred.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Distribution {
    /// That of these numbers; `None` of none. Quantiles are numbers of the list (nearest rank), not means of two.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let at = |part: f64| {
            let rank = (part * values.len() as f64).ceil() as usize;
            values[rank.clamp(1, values.len()) - 1]
        };
        Some(Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min,
            p10: at(0.1),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numbers_of_the_list() {
        let values = (1..=10).rev().map(f64::from).collect();
        let spread = Distribution::of(values).unwrap();
        let expected = Distribution {
            mean: 5.5,
            min: 1.0,
            p10: 1.0,
            p50: 5.0,
            p90: 9.0,
            p99: 10.0,
            max: 10.0,
        };
        assert_eq!(spread, expected);
        assert_eq!(Distribution::of(vec![3.0]).unwrap().p10, 3.0);
        assert_eq!(Distribution::of(Vec::new()), None);
    }
}
