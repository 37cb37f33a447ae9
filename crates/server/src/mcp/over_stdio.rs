//! The protocol over standard input and output, for a service that is asked by somebody else.

use std::fmt;
use std::sync::Arc;

use rmcp::ServiceExt;
use rmcp::model::Extensions;
use rmcp::transport::stdio;

use super::handler::{Backend, Handler};
use super::tool::Tool;
use super::tool_call::{ToolAnswer, ToolCall};

/// Why there is no conversation any more.
#[derive(Debug, thiserror::Error)]
#[error("the client does not speak the Model Context Protocol: {0}")]
pub struct McpError(String);

type Ask = dyn Fn(ToolCall) -> Result<ToolAnswer, String> + Send + Sync;

/// A service elsewhere.
#[derive(Clone)]
struct Elsewhere(Arc<Ask>);

impl fmt::Debug for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Elsewhere")
    }
}

/// Answers a client until it closes standard input. `ask` sends a request to the service, and may take its time; its
/// error is a sentence.
///
/// # Errors
/// When the client says what is not of the protocol.
pub async fn over_stdio(
    ask: impl Fn(ToolCall) -> Result<ToolAnswer, String> + Send + Sync + 'static,
) -> Result<(), McpError> {
    let told = |error: &dyn fmt::Display| McpError(error.to_string());
    let handler = Handler(Elsewhere(Arc::new(ask)));
    let conversation = handler.serve(stdio()).await;
    let conversation = conversation.map_err(|error| told(&error))?;
    conversation.waiting().await.map_err(|error| told(&error))?;
    Ok(())
}

impl Backend for Elsewhere {
    /// The service says so when it is asked.
    fn may_use(&self, _tool: Tool, _extensions: &Extensions) -> bool {
        true
    }

    async fn call(&self, call: ToolCall, _extensions: &Extensions) -> ToolAnswer {
        let ask = Arc::clone(&self.0);
        let asked = tokio::task::spawn_blocking(move || ask(call)).await;
        match asked {
            Ok(Ok(answer)) => answer,
            Ok(Err(detail)) => ToolAnswer::failure(&detail),
            Err(_) => ToolAnswer::failure("asking the service failed"),
        }
    }
}
