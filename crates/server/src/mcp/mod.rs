//! The service as tools for language models (Model Context Protocol).
//!
//! A tool is a request to a route. At `/mcp` that route is asked on behalf of the caller, whose key has to be for it;
//! over standard input and output, by whoever runs the command, of a service elsewhere. So tools can do what routes can,
//! with all their checks and limits, and nothing else.

mod handler;
mod over_http;
mod over_stdio;
mod tool;
mod tool_call;

pub use self::over_stdio::{McpError, over_stdio};
pub use self::tool_call::{ToolAnswer, ToolCall};

pub(crate) use self::over_http::Mcp;
