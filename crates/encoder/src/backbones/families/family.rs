//! What a `model_type` of `config.json` stands for: one row of a table.

use std::path::Path;

use candle_transformers::models::debertav2;

use super::config::{self, Config};
use super::{
    albert, bert, deberta_v2, distilbert, gemma3, gte, modernbert, mpnet, nomic_bert, qwen3,
};
use crate::Error;
use crate::backbones::architecture::Architecture;
use crate::checkpoint::Checkpoint;

/// Models that differ in numbers only.
#[derive(Debug)]
pub(crate) struct Family {
    model_type: &'static str,
    positions: Positions,
    definition: Definition,
}

/// Who knows a family's transformer.
#[derive(Debug)]
enum Definition {
    /// We do: the transformer with this configuration, whose tensors' names begin with a prefix.
    Described(Describe),
    /// candle-transformers does, in its module of this name.
    DebertaV2,
}

/// The transformer of a folder.
#[derive(Debug)]
pub(crate) enum Transformer {
    /// For code of ours.
    Described(Architecture),
    /// For candle-transformers.
    DebertaV2 {
        config: debertav2::Config,
        /// What the names of tensors begin with.
        prefix: String,
    },
}

type Describe = fn(&Config, &str) -> Result<Architecture, Error>;

/// Which row of the position table a text's first token has.
#[derive(Debug, Clone, Copy)]
enum Positions {
    FromZero,
    /// The one after the padding's id.
    AfterPadding,
    After(u32),
}

/// `pad_token_id` of a configuration that does not say it, where it matters.
const DEFAULT_PADDING_ID: u32 = 1;

const FAMILIES: [Family; 14] = [
    Family::new("bert", Positions::FromZero, bert::architecture),
    Family::new("roberta", Positions::AfterPadding, bert::architecture),
    Family::new("xlm-roberta", Positions::AfterPadding, bert::architecture),
    Family::new("camembert", Positions::AfterPadding, bert::architecture),
    Family::new("distilbert", Positions::FromZero, distilbert::architecture),
    Family::new("albert", Positions::FromZero, albert::architecture),
    // It has the padding's id fixed in code.
    Family::new("mpnet", Positions::After(1), mpnet::architecture),
    Family::new("modernbert", Positions::FromZero, modernbert::architecture),
    Family::new("nomic_bert", Positions::FromZero, nomic_bert::architecture),
    Family::new("gte", Positions::FromZero, gte::architecture),
    // The same before Hugging Face's transformers had it.
    Family::new("new", Positions::FromZero, gte::architecture),
    Family::new("qwen3", Positions::FromZero, qwen3::architecture),
    Family::new("gemma3_text", Positions::FromZero, gemma3::architecture),
    Family {
        model_type: "deberta-v2",
        positions: Positions::FromZero,
        definition: Definition::DebertaV2,
    },
];

impl Family {
    const fn new(model_type: &'static str, positions: Positions, describe: Describe) -> Self {
        Self {
            model_type,
            positions,
            definition: Definition::Described(describe),
        }
    }

    /// The family of a `model_type`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn of(model_type: &str) -> Result<&'static Self, Error> {
        let unsupported = || Error::UnsupportedModelType {
            model_type: model_type.to_owned(),
        };
        FAMILIES
            .iter()
            .find(|family| family.model_type == model_type)
            .ok_or_else(unsupported)
    }

    pub(crate) fn model_type(&self) -> &'static str {
        self.model_type
    }

    /// Counts the tokens of a text that have a position, when the table has this many rows.
    pub(crate) fn positions_for_tokens(&self, rows: usize, padding_id: Option<u32>) -> usize {
        let skipped = self.padding_id(padding_id).map_or(0, |id| id as usize + 1);
        rows.saturating_sub(skipped)
    }

    /// The padding's id, where positions depend on it.
    fn padding_id(&self, configured: Option<u32>) -> Option<u32> {
        match self.positions {
            Positions::FromZero => None,
            Positions::AfterPadding => Some(configured.unwrap_or(DEFAULT_PADDING_ID)),
            Positions::After(id) => Some(id),
        }
    }

    /// Reads what the transformer in a folder is, and opens its weights.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the configuration asks for something that the family
    /// lacks.
    pub(crate) fn open(&self, folder: &Path) -> Result<(Transformer, Checkpoint), Error> {
        let config = Config::read(folder)?;
        let file = Checkpoint::open(folder)?;
        let prefix = prefix(&file);
        let transformer = match &self.definition {
            Definition::Described(describe) => {
                let mut architecture = describe(&config, &prefix)?;
                architecture.embeddings.padding_id = self.padding_id(config.pad_token_id);
                Transformer::Described(architecture)
            }
            Definition::DebertaV2 => Transformer::DebertaV2 {
                config: deberta_v2::configuration(&config)?,
                prefix,
            },
        };
        Ok((transformer, file))
    }
}

/// What stands before the names of all tensors: some tools put a family's name there.
fn prefix(file: &Checkpoint) -> String {
    let has_words = |prefix: &String| {
        let words = [config::WORDS, modernbert::WORDS, qwen3::WORDS];
        words
            .iter()
            .any(|name| file.has(&format!("{prefix}{name}")))
    };
    let models = FAMILIES.iter().map(|family| family.model_type);
    let mut prefixes = models
        .chain(["deberta", "model"])
        .map(|model| format!("{model}."));
    match has_words(&String::new()) {
        true => String::new(),
        false => prefixes.find(has_words).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_positions_that_padding_leaves() {
        let positions = |model_type: &str, padding_id| {
            let family = Family::of(model_type).unwrap();
            family.positions_for_tokens(514, padding_id)
        };
        assert_eq!(positions("bert", Some(1)), 514);
        assert_eq!(positions("camembert", None), 512);
        assert_eq!(positions("roberta", Some(3)), 510);
        assert_eq!(positions("mpnet", Some(3)), 512);
        assert!(Family::of("bort").is_err());
    }
}
