//! How the loss and the figures change, as a picture.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{EpochReport, Evaluation, Report};

/// Points of a curve at most.
const MAX_POINTS: usize = 400;

/// Losses of all steps, as means over as many steps as it takes for there to be few points.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LossCurve {
    /// Steps of a point.
    every: usize,
    means: Vec<f64>,
    /// Of the point that is not whole yet.
    sum: f64,
    count: usize,
}

impl Default for LossCurve {
    fn default() -> Self {
        Self {
            every: 1,
            means: Vec::new(),
            sum: 0.0,
            count: 0,
        }
    }
}

/// A mean of losses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LossPoint {
    /// The last step that it is about.
    pub step: usize,
    /// The mean.
    pub loss: f64,
}

impl LossCurve {
    pub(crate) fn push(&mut self, loss: f64) {
        (self.sum, self.count) = (self.sum + loss, self.count + 1);
        if self.count < self.every {
            return;
        }
        self.means.push(self.sum / self.count as f64);
        (self.sum, self.count) = (0.0, 0);
        if self.means.len() == 2 * MAX_POINTS {
            let pairs = self.means.chunks(2);
            self.means = pairs
                .map(|pair| pair.iter().sum::<f64>() / pair.len() as f64)
                .collect();
            self.every *= 2;
        }
    }

    pub(crate) fn points(&self) -> Vec<LossPoint> {
        let whole = self.means.iter().zip(1..);
        let whole = whole.map(|(loss, point)| LossPoint {
            step: point * self.every,
            loss: *loss,
        });
        let rest = (self.count > 0).then(|| LossPoint {
            step: self.means.len() * self.every + self.count,
            loss: self.sum / self.count as f64,
        });
        whole.chain(rest).collect()
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 56.0;

/// One line of a picture, with an axis of its own.
struct Line {
    name: String,
    color: &'static str,
    /// Steps and values.
    points: Vec<(f64, f64)>,
}

/// The loss by step, and the figures after each epoch, as SVG.
pub(crate) fn picture(report: &Report) -> String {
    let loss = report.losses.iter();
    let mut lines = vec![Line {
        name: "loss".to_owned(),
        color: "#b45309",
        points: loss.map(|point| (point.step as f64, point.loss)).collect(),
    }];
    let of = |name: &str, color, before: Option<Evaluation>, after: fn(&EpochReport) -> _| {
        let before = before?;
        let ended = |epoch: &EpochReport| {
            let after: Option<Evaluation> = after(epoch);
            Some((epoch.steps as f64, after?.value))
        };
        let after = report.epochs.iter().filter_map(ended);
        Some(Line {
            name: format!("{}, {name}", before.metric),
            color,
            points: std::iter::once((0.0, before.value)).chain(after).collect(),
        })
    };
    lines.extend(of("kept aside", "#1d4ed8", report.before, |epoch| {
        epoch.after
    }));
    lines.extend(of("control", "#15803d", report.control_before, |epoch| {
        epoch.control
    }));
    drawn(&lines)
}

/// Each line in a frame of its own, one below the other, over the same steps.
fn drawn(lines: &[Line]) -> String {
    let all = HEIGHT * lines.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {all}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let last = lines.iter().flat_map(|line| &line.points);
    let last = last.map(|(step, _)| *step).fold(1.0, f64::max);
    for (line, place) in lines.iter().zip(0_u32..) {
        frame(&mut svg, line, last, HEIGHT * f64::from(place));
    }
    svg.push_str("</svg>\n");
    svg
}

fn frame(svg: &mut String, line: &Line, last: f64, top: f64) {
    let values = || line.points.iter().map(|(_, value)| *value);
    let (least, most) = (
        values().fold(f64::INFINITY, f64::min),
        values().fold(f64::NEG_INFINITY, f64::max),
    );
    if !least.is_finite() || !most.is_finite() {
        return;
    }
    let range = (most - least).max(1e-9);
    let (left, right) = (MARGIN, WIDTH - 16.0);
    let (high, low) = (top + 32.0, top + HEIGHT - 28.0);
    let at = |(step, value): &(f64, f64)| {
        let x = left + (right - left) * step / last;
        let y = low - (low - high) * (value - least) / range;
        format!("{x:.1},{y:.1}")
    };
    let points: Vec<String> = line.points.iter().map(at).collect();
    let Line { name, color, .. } = line;
    // Writing to a string does not fail.
    let _ = write!(
        svg,
        "<text x=\"{left}\" y=\"{}\" fill=\"{color}\">{name}</text>\n\
         <path d=\"M{left} {high}V{low}H{right}\" fill=\"none\" stroke=\"#888\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most:.3}</text>\n\
         <text x=\"{}\" y=\"{low}\" text-anchor=\"end\">{least:.3}</text>\n\
         <text x=\"{right}\" y=\"{}\" text-anchor=\"end\">step {last}</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\n",
        top + 20.0,
        left - 6.0,
        high + 6.0,
        left - 6.0,
        low + 16.0,
        points.join(" "),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_of_many_steps_has_few_points_and_their_means() {
        let mut curve = LossCurve::default();
        for step in 0..10_000 {
            curve.push(f64::from(step));
        }
        let points = curve.points();
        assert!(points.len() <= 2 * MAX_POINTS && points.len() >= MAX_POINTS);
        assert_eq!(points.last().unwrap().step, 10_000);
        let every = points[0].step;
        assert_eq!(points[0].loss, (every - 1) as f64 / 2.0);
        assert!(points.windows(2).all(|pair| pair[0].step < pair[1].step));
    }

    #[test]
    fn a_picture_stays_within_its_frame() {
        let line = Line {
            name: "loss".to_owned(),
            color: "black",
            points: vec![(0.0, 2.0), (10.0, 1.0)],
        };
        let svg = drawn(&[line]);
        assert!(svg.contains("56.0,32.0 624.0,172.0"), "{svg}");
        let same = Line {
            name: "loss".to_owned(),
            color: "black",
            points: vec![(1.0, 1.0)],
        };
        assert!(!drawn(&[same]).contains("NaN"));
    }
}
