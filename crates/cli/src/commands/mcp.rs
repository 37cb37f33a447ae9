//! `siamese mcp`

use std::process::ExitCode;

use anyhow::Result;
use siamese_server::mcp::over_stdio;

use crate::client::{Address, Service};

/// Let a language model use a running service: speak the Model Context Protocol (MCP) over standard input and output
#[derive(Debug, clap::Args)]
pub(crate) struct Mcp {
    #[command(flatten)]
    address: Address,
}

impl Mcp {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::at(&self.address);
        let runtime = siamese_server::runtime()?;
        let spoken = runtime.block_on(over_stdio(move |call| service.use_tool(&call)));
        // A thread waits for standard input, which may never end.
        runtime.shutdown_background();
        spoken?;
        Ok(ExitCode::SUCCESS)
    }
}
