//! The metrics of this process, read back from the text that Prometheus gets.
//!
//! So both ways of telling have the same names, labels and values, and counting has one place.

use std::collections::BTreeMap;

/// All series of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) values: FamilyValues,
}

/// What is known of each series of a family.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FamilyValues {
    Counters(Vec<(Labels, f64)>),
    Gauges(Vec<(Labels, f64)>),
    Histograms(BTreeMap<Labels, Buckets>),
}

/// Names and values.
pub(super) type Labels = Vec<(String, String)>;

/// How many values there were up to each bound, as the text has them: each bucket holds the ones before it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Buckets {
    pub(super) up_to: Vec<(f64, u64)>,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// The families in a text of this service's own making. Lines that it does not make are passed over.
pub(super) fn families(text: &str) -> Vec<Family> {
    let mut families = Vec::new();
    let mut help = String::new();
    for line in text.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described
                .split_once(' ')
                .map_or("", |(_, help)| help)
                .to_owned();
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            families.extend(family(typed, std::mem::take(&mut help)));
        } else if let (Some(family), Some(sample)) = (families.last_mut(), Sample::read(line)) {
            family.add(sample);
        }
    }
    families
}

/// The family that a line `# TYPE` begins.
fn family(typed: &str, help: String) -> Option<Family> {
    let (name, kind) = typed.split_once(' ')?;
    let values = match kind {
        "counter" => FamilyValues::Counters(Vec::new()),
        "gauge" => FamilyValues::Gauges(Vec::new()),
        "histogram" => FamilyValues::Histograms(BTreeMap::new()),
        _ => return None,
    };
    Some(Family {
        name: name.to_owned(),
        help,
        values,
    })
}

impl Family {
    fn add(&mut self, sample: Sample) {
        let Some(part) = sample.name.strip_prefix(&self.name) else {
            return;
        };
        match &mut self.values {
            FamilyValues::Counters(series) | FamilyValues::Gauges(series) if part.is_empty() => {
                series.push((sample.labels, sample.value));
            }
            FamilyValues::Histograms(series) => add_to_histogram(series, part, sample),
            _ => {}
        }
    }
}

fn add_to_histogram(series: &mut BTreeMap<Labels, Buckets>, part: &str, mut sample: Sample) {
    let bound = sample.take("le").and_then(|bound| bound.parse().ok());
    let buckets = series.entry(sample.labels).or_default();
    match (part, bound) {
        ("_bucket", Some(bound)) => buckets.up_to.push((bound, sample.value as u64)),
        ("_sum", _) => buckets.sum = sample.value,
        ("_count", _) => buckets.count = sample.value as u64,
        _ => {}
    }
}

/// A line with a value.
struct Sample<'a> {
    name: &'a str,
    labels: Labels,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let name_ends = line.find(['{', ' '])?;
        let (name, rest) = line.split_at(name_ends);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = rest.trim().parse().ok()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }

    /// The value of a label, which is one no more.
    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.labels.iter().position(|(label, _)| label == name)?;
        Some(self.labels.remove(at).1)
    }
}

/// Labels up to the brace that closes them, and what comes after it.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.push((name.to_owned(), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// A value up to the quote that closes it, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, value: &str) -> Labels {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn each_kind_of_metric_is_read() {
        let text = "# HELP a_total Things of \"a\"\n# TYPE a_total counter\na_total 3\n\n\
                    # TYPE b gauge\nb{x=\"1\"} 0.5\nb{x=\"a \\\"b\\\\ ,}\\n\"} -2\n\
                    # TYPE c histogram\nc_bucket{x=\"1\",le=\"0.5\"} 1\nc_bucket{x=\"1\",le=\"+Inf\"} 3\n\
                    c_sum{x=\"1\"} 7.25\nc_count{x=\"1\"} 3\n";
        let families = families(text);
        let names: Vec<&str> = families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a_total", "b", "c"]);
        assert_eq!(families[0].help, "Things of \"a\"");
        assert_eq!(families[1].help, "");
        let counters = vec![(Labels::new(), 3.0)];
        assert_eq!(families[0].values, FamilyValues::Counters(counters));
        let gauges = vec![(label("x", "1"), 0.5), (label("x", "a \"b\\ ,}\n"), -2.0)];
        assert_eq!(families[1].values, FamilyValues::Gauges(gauges));
        let buckets = Buckets {
            up_to: vec![(0.5, 1), (f64::INFINITY, 3)],
            sum: 7.25,
            count: 3,
        };
        let histograms = BTreeMap::from([(label("x", "1"), buckets)]);
        assert_eq!(families[2].values, FamilyValues::Histograms(histograms));
    }

    #[test]
    fn what_is_none_of_it_is_passed_over() {
        let text = "a 1\n# TYPE b summary\nb 1\n# TYPE c gauge\nother 1\nc{x=\"1} 1\nc{x} 1\nc one\n{} 1\n";
        let read = families(text);
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].values, FamilyValues::Gauges(Vec::new()));
    }

    #[test]
    fn all_that_the_service_tells_is_read() {
        let text = crate::metrics::exporter().unwrap().render();
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read: usize = families(&text)
            .iter()
            .map(|family| match &family.values {
                FamilyValues::Counters(series) | FamilyValues::Gauges(series) => series.len(),
                // Besides its buckets each has a line for the sum and one for the count.
                FamilyValues::Histograms(series) => {
                    let lines = series.values().map(|buckets| buckets.up_to.len() + 2);
                    lines.sum()
                }
            })
            .sum();
        assert_eq!(read, samples.count());
    }
}
