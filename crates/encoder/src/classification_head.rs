//! The head of a sequence classification model with one logit: from the first token's state to a
//! number.

use std::path::Path;

use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::dense::{Activation, Dense};

/// A linear layer with an activation, and a second one with a single output.
#[derive(Debug)]
pub(crate) struct ClassificationHead {
    hidden: Dense,
    logit: Dense,
}

/// What an architecture calls the parts of its head, and the activation between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadNames {
    hidden: &'static str,
    activation: Activation,
    logit: &'static str,
}

impl HeadNames {
    /// The names for a class of Hugging Face's transformers, as `architectures` has it.
    pub(crate) fn of(architecture: &str) -> Option<Self> {
        let (hidden, activation, logit) = match architecture {
            "BertForSequenceClassification" => {
                ("bert.pooler.dense", Activation::Tanh, "classifier")
            }
            "AlbertForSequenceClassification" => ("albert.pooler", Activation::Tanh, "classifier"),
            "RobertaForSequenceClassification"
            | "XLMRobertaForSequenceClassification"
            | "CamembertForSequenceClassification"
            | "MPNetForSequenceClassification" => {
                ("classifier.dense", Activation::Tanh, "classifier.out_proj")
            }
            "DistilBertForSequenceClassification" => {
                ("pre_classifier", Activation::Relu, "classifier")
            }
            "DebertaV2ForSequenceClassification" => {
                ("pooler.dense", Activation::Gelu, "classifier")
            }
            _ => return None,
        };
        Some(Self {
            hidden,
            activation,
            logit,
        })
    }
}

impl ClassificationHead {
    /// Reads the head of the model in a folder, whose token states have `width` values.
    ///
    /// # Errors
    /// When the file is damaged or lacks the head.
    pub(crate) fn read(folder: &Path, names: HeadNames, width: usize) -> Result<Self, Error> {
        let mut file = Checkpoint::open(folder)?;
        let hidden = Dense::read(&mut file, names.hidden, [width, width], names.activation)?;
        let logit = Dense::read(&mut file, names.logit, [1, width], Activation::Identity)?;
        Ok(Self { hidden, logit })
    }

    /// The logit of a text, from its first token's state.
    pub(crate) fn logit(&self, first_state: &[f32]) -> f32 {
        self.logit.forward(&self.hidden.forward(first_state))[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_architecture_without_such_a_head_has_no_names() {
        assert!(HeadNames::of("BertForSequenceClassification").is_some());
        for other in ["BertModel", "BertForTokenClassification", ""] {
            assert_eq!(HeadNames::of(other), None, "{other}");
        }
    }
}
