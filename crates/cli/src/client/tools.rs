//! A service as tools of a language model.

use siamese_server::mcp::{ToolAnswer, ToolCall};
use ureq::http::header;

use super::{MAX_ANSWER_BYTES, Service};

impl Service {
    /// Does what a tool asks for. What the service refuses is an answer, too.
    ///
    /// # Errors
    /// A sentence, when nothing answers.
    pub(crate) fn use_tool(&self, call: &ToolCall) -> Result<ToolAnswer, String> {
        let url = format!("{}{}", self.url, call.path);
        let answer = match &call.body {
            None => self.agent.get(url).call(),
            Some(body) => {
                let post = self.agent.post(url);
                let post = post.header(header::CONTENT_TYPE, "application/json");
                post.send(body.to_string())
            }
        };
        let mut answer = self.answered(answer).map_err(|error| error.to_string())?;
        let is_success = answer.status().is_success();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let body = body
            .read_json()
            .map_err(|error| format!("{} did not answer JSON: {error}", self.url))?;
        Ok(ToolAnswer { is_success, body })
    }
}
