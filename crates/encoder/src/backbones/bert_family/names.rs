//! What the members of the family call their tensors.

use crate::tensor_file::TensorFile;

/// Names of tensors for one member of the family.
#[derive(Debug)]
pub(super) struct Names {
    prefix: &'static str,
    distilled: bool,
}

impl Names {
    /// The names in a file: some tools put the member's name before all of them.
    pub(super) fn new(model_type: &str, file: &TensorFile) -> Self {
        let distilled = model_type == "distilbert";
        let prefixes = ["", "bert.", "roberta.", "distilbert.", "camembert."];
        let prefix = prefixes
            .into_iter()
            .find(|prefix| file.has(&format!("{prefix}embeddings.word_embeddings.weight")))
            .unwrap_or("");
        Self { prefix, distilled }
    }

    pub(super) fn embedding(&self, table: &str) -> String {
        format!("{}embeddings.{table}", self.prefix)
    }

    pub(super) fn query(&self, layer: usize) -> String {
        self.of(layer, "attention.self.query", "attention.q_lin")
    }

    pub(super) fn key(&self, layer: usize) -> String {
        self.of(layer, "attention.self.key", "attention.k_lin")
    }

    pub(super) fn value(&self, layer: usize) -> String {
        self.of(layer, "attention.self.value", "attention.v_lin")
    }

    pub(super) fn attention_output(&self, layer: usize) -> String {
        self.of(layer, "attention.output.dense", "attention.out_lin")
    }

    pub(super) fn attention_norm(&self, layer: usize) -> String {
        self.of(layer, "attention.output.LayerNorm", "sa_layer_norm")
    }

    pub(super) fn up(&self, layer: usize) -> String {
        self.of(layer, "intermediate.dense", "ffn.lin1")
    }

    pub(super) fn down(&self, layer: usize) -> String {
        self.of(layer, "output.dense", "ffn.lin2")
    }

    pub(super) fn output_norm(&self, layer: usize) -> String {
        self.of(layer, "output.LayerNorm", "output_layer_norm")
    }

    fn of(&self, layer: usize, bert: &str, distilbert: &str) -> String {
        let prefix = self.prefix;
        if self.distilled {
            format!("{prefix}transformer.layer.{layer}.{distilbert}")
        } else {
            format!("{prefix}encoder.layer.{layer}.{bert}")
        }
    }
}
