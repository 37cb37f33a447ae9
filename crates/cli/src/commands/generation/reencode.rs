//! `siamese reencode`: another encoder for a collection in use, in one command.

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::judged::Judged;
use super::{activate, compare, create, report, show};
use crate::client::{Address, Service, collection_name};

/// How the command ends when the new generation is not better, and so not active.
const NOT_BETTER: u8 = 3;

/// Encode a collection with another encoder while it is in use, and then let searches see that
///
/// As `siamese generation create`, `compare` and `activate`. The generation before is kept, so that it is one command
/// to go back, until `siamese generation delete` is run: one that this encoder has made with the same settings is not
/// made again. Exit code 0: the new one is active; 3: it is not better, and kept beside the active one; 1: something
/// failed.
#[derive(Debug, clap::Args)]
pub(crate) struct Reencode {
    /// The collection
    #[arg(value_parser = collection_name)]
    collection: String,
    /// A name of [encoders.NAME] in the service's settings, or default
    #[arg(long, value_name = "NAME")]
    encoder: String,
    /// Activate it only if this figure is higher than that of the active one
    #[arg(long, value_enum, value_name = "METRIC", requires = "judgements")]
    activate_if_better: Option<Metric>,
    /// Print one JSON object: the generation, whether it is active now, and the comparison if there was one
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    judged: Judged,
    #[command(flatten)]
    address: Address,
}

/// A figure of quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Metric {
    #[value(name = "ndcg@10")]
    Ndcg,
    #[value(name = "mrr@10")]
    Mrr,
    #[value(name = "recall@10")]
    Recall10,
    #[value(name = "recall@100")]
    Recall100,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Ndcg => "nDCG@10",
            Self::Mrr => "MRR@10",
            Self::Recall10 => "recall@10",
            Self::Recall100 => "recall@100",
        }
    }

    fn field(self) -> &'static str {
        match self {
            Self::Ndcg => "ndcg_at_10",
            Self::Mrr => "mrr_at_10",
            Self::Recall10 => "recall_at_10",
            Self::Recall100 => "recall_at_100",
        }
    }

    /// The figure of the active generation and of the other.
    fn of(self, report: &Value) -> Option<[f64; 2]> {
        let figure = |side: &str| report[side]["quality"][self.field()].as_f64();
        Some([figure("active")?, figure("other")?])
    }
}

impl Reencode {
    pub(crate) fn run(self) -> Result<ExitCode> {
        // What is wrong with the file is said before hours of encoding.
        let queries = self.judged.read()?;
        let service = Service::new(&self.address.collection(self.collection));
        let filled = create(&service, &json!({"encoder": self.encoder}))?;
        if filled.is_active {
            filled.tell(self.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let number = filled.number;
        let compared = queries
            .map(|queries| compare::compare(&service, number, &queries, &json!({})))
            .transpose()?;
        if let Some(compared) = compared.as_ref().filter(|_| !self.json) {
            report::print(compared)?;
        }
        let decision = self.activate_if_better.zip(compared.as_ref());
        let decision = decision.map(|(metric, compared)| decide(metric, metric.of(compared)));
        let is_activated = decision.as_ref().is_none_or(|decision| decision.is_better);
        let activated = match is_activated {
            true => Some(activate(&service, number)?),
            false => None,
        };
        if self.json {
            let state = if is_activated { "active" } else { "ready" };
            let report = json!({ "generation": number, "state": state, "comparison": compared });
            writeln!(stdout(), "{report}")?;
        } else {
            tell(number, decision, activated)?;
        }
        Ok(match is_activated {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(NOT_BETTER),
        })
    }
}

/// Whether the new generation is the better one, and why, in words.
#[derive(Debug)]
struct Decision {
    is_better: bool,
    reason: String,
}

fn decide(metric: Metric, figures: Option<[f64; 2]>) -> Decision {
    let name = metric.name();
    let Some([active, other]) = figures else {
        return Decision {
            is_better: false,
            reason: format!("no query has a relevant document, so there is no {name}"),
        };
    };
    let is_better = other > active;
    let before = if is_better {
        format!("and was {active:.4}")
    } else {
        format!("and {active:.4} in the active generation")
    };
    Decision {
        is_better,
        reason: format!("{name} is {other:.4}, {before}"),
    }
}

/// Says which generation is active now.
fn tell(number: u32, decision: Option<Decision>, activated: Option<Value>) -> Result<()> {
    let reason = decision.map(|decision| decision.reason);
    let Some(activated) = activated else {
        let reason = reason.unwrap_or_default();
        writeln!(
            stdout(),
            "not activated: {reason}; generation {number} is ready: siamese generation activate {number} lets searches see \
             it all the same, and siamese generation delete {number} deletes it"
        )?;
        return Ok(());
    };
    if let Some(reason) = reason {
        writeln!(stdout(), "activated: {reason}")?;
    }
    show(activated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_higher_figure_is_better() {
        let figures = |active, other| {
            let side = |value: f64| json!({"quality": {"mrr_at_10": value}});
            Metric::Mrr.of(&json!({"active": side(active), "other": side(other)}))
        };
        for (active, other, better) in [(0.5, 0.6, true), (0.5, 0.5, false), (0.6, 0.5, false)] {
            let decided = decide(Metric::Mrr, figures(active, other));
            assert_eq!(decided.is_better, better, "{active} {other}");
        }
        assert_eq!(Metric::Ndcg.of(&json!({"active": {}, "other": {}})), None);
        assert!(!decide(Metric::Ndcg, None).is_better);
    }
}
