//! Log lines of the service, on standard error.

use std::io::{IsTerminal, stderr};

use anyhow::{Context, Result};
use siamese_server::config::{LogFormat, LogSettings};
use tracing_subscriber::EnvFilter;

/// What is logged of the crate for the Model Context Protocol, whatever the settings say.
const QUIET_CRATE: &str = "rmcp=warn";

/// Starts logging for the rest of the process.
///
/// # Errors
/// When `log.filter` is not a list of tracing directives.
pub(crate) fn start(settings: &LogSettings) -> Result<()> {
    let filter = EnvFilter::try_new(&settings.filter)
        .with_context(|| format!("log.filter = {:?} is not valid", settings.filter))?
        // It tells of each message, with its texts.
        .add_directive(QUIET_CRATE.parse()?);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr);
    match settings.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
