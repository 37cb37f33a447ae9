//! `POST /mcp`: the service for clients of the Model Context Protocol.

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use crate::app::App;
use crate::error::ApiError;
use crate::extract::read_counted;
use crate::mcp::Mcp;

/// Size of a message, and of what is in it: it is parsed on the worker that it comes to, which takes some milliseconds
/// then. Who has more to store sends it to `POST /documents`.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
const MAX_MESSAGE_VALUES: usize = 20_000;

/// Answers a message. It is JSON-RPC, so the API's description has no word of it.
pub(crate) async fn post(
    State(app): State<App>,
    Extension(mcp): Extension<Mcp>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let counted = Request::from_parts(head.clone(), body);
    let body = read_counted(counted, &app, MAX_MESSAGE_BYTES, MAX_MESSAGE_VALUES).await?;
    Ok(mcp.answer(head, body).await)
}
