//! `siamese openapi`

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;

/// Print the description of the HTTP API (OpenAPI 3.1, YAML)
#[derive(Debug, clap::Args)]
pub(crate) struct Openapi {}

impl Openapi {
    #[expect(clippy::unused_self, reason = "every command has the same form")]
    pub(crate) fn run(self) -> Result<ExitCode> {
        let yaml = siamese_server::openapi_yaml()?;
        stdout().lock().write_all(yaml.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
