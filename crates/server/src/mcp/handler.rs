//! What a client of the protocol is answered.

use std::future::Future;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, Extensions, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as Description,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};

use super::tool::Tool;
use super::tool_call::{ToolAnswer, ToolCall};

const INSTRUCTIONS: &str = "Semantic search over documents that are kept in collections: search finds them by meaning, get reads one, \
                            add stores and delete removes some, similarity compares texts that are not stored. The collection is \
                            \"default\" unless another is named.";

/// Who does what tools ask for.
pub(super) trait Backend: Clone + Send + Sync + 'static {
    /// Returns whether the caller may use a tool. `extensions` say who that is.
    fn may_use(&self, tool: Tool, extensions: &Extensions) -> bool;

    /// Does it, with the caller's rights.
    fn call(
        &self,
        call: ToolCall,
        extensions: &Extensions,
    ) -> impl Future<Output = ToolAnswer> + Send;
}

/// Answers with the tools.
#[derive(Debug, Clone)]
pub(super) struct Handler<B>(pub(super) B);

impl<B: Backend> ServerHandler for Handler<B> {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("siamese", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = Tool::ALL.into_iter();
        let tools = tools.filter(|tool| self.0.may_use(*tool, &context.extensions));
        Ok(ListToolsResult::with_all_items(
            tools.map(Tool::description).collect(),
        ))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = Tool::named(&request.name) else {
            let detail = format!("no tool is called {:?}", request.name);
            return Err(ErrorData::invalid_params(detail, None));
        };
        let answer = match tool.call(request.arguments.unwrap_or_default()) {
            Ok(call) => self.0.call(call, &context.extensions).await,
            Err(detail) => ToolAnswer::failure(&detail),
        };
        let result = match answer.is_success {
            true => CallToolResult::structured(answer.body),
            false => CallToolResult::structured_error(answer.body),
        };
        Ok(result.into())
    }

    fn get_tool(&self, name: &str) -> Option<Description> {
        Tool::named(name).map(Tool::description)
    }
}
