//! `siamese similarity`

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;

use crate::client::{Connection, Service};

/// Say how alike two texts are: cosine, -1 to 1, higher is more alike
#[derive(Debug, clap::Args)]
pub(crate) struct Similarity {
    /// One text
    left: String,
    /// The other
    right: String,
    /// Print the service's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Similarity {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&self.connection);
        let answer = service.post("similarity", &json!({ "pairs": [[self.left, self.right]] }))?;
        if self.json {
            writeln!(stdout(), "{answer}")?;
        } else {
            let score = answer["scores"][0]
                .as_f64()
                .context("the answer has no score")?;
            writeln!(stdout(), "{score:.4}")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
