//! What a `model_type` of `config.json` stands for: one row of a table.

use std::path::Path;

use super::config::{self, Config};
use super::{albert, bert, distilbert, modernbert, mpnet};
use crate::Error;
use crate::backbones::architecture::Architecture;
use crate::files;
use crate::tensor_file::TensorFile;

/// Models that differ in numbers only.
#[derive(Debug)]
pub(crate) struct Family {
    model_type: &'static str,
    positions: Positions,
    /// The transformer with this configuration, whose tensors' names begin with a prefix.
    architecture: Describe,
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

const FAMILIES: [Family; 8] = [
    Family::new("bert", Positions::FromZero, bert::architecture),
    Family::new("roberta", Positions::AfterPadding, bert::architecture),
    Family::new("xlm-roberta", Positions::AfterPadding, bert::architecture),
    Family::new("camembert", Positions::AfterPadding, bert::architecture),
    Family::new("distilbert", Positions::FromZero, distilbert::architecture),
    Family::new("albert", Positions::FromZero, albert::architecture),
    // It has the padding's id fixed in code.
    Family::new("mpnet", Positions::After(1), mpnet::architecture),
    Family::new("modernbert", Positions::FromZero, modernbert::architecture),
];

impl Family {
    const fn new(model_type: &'static str, positions: Positions, architecture: Describe) -> Self {
        Self {
            model_type,
            positions,
            architecture,
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
    pub(crate) fn open(&self, folder: &Path) -> Result<(Architecture, TensorFile), Error> {
        let config = Config::read(folder)?;
        let file = TensorFile::open(&folder.join(files::WEIGHTS))?;
        let mut architecture = (self.architecture)(&config, &prefix(&file))?;
        architecture.embeddings.padding_id = self.padding_id(config.pad_token_id);
        Ok((architecture, file))
    }
}

/// What stands before the names of all tensors: some tools put a family's name there.
fn prefix(file: &TensorFile) -> String {
    let has_words = |prefix: &String| {
        let words = [config::WORDS, modernbert::WORDS];
        words
            .iter()
            .any(|name| file.has(&format!("{prefix}{name}")))
    };
    let models = FAMILIES.iter().map(|family| family.model_type);
    let mut prefixes = models.chain(["model"]).map(|model| format!("{model}."));
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
