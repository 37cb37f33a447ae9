//! The Hugging Face hub, or a mirror of it, as a source.
//!
//! The crate `hf-hub` is not used: a network that drops packets has to be noticed within seconds
//! and a stalled transfer has to end, and it lets one set neither without a second HTTP stack and
//! an asynchronous runtime. What is needed of the hub is one GET a file.

use std::path::Path;
use std::time::Duration;

use fs_err::{File, OpenOptions};
use ureq::Agent;
use ureq::http::{Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};

use super::manifest::{PinnedFile, PinnedModel};
use super::progress::Progress;
use super::source::{Source, SourceError, accept, copy};
use super::staging::Staging;

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";
/// How often a transfer that broke off is taken up again; each time must bring bytes.
const MAX_TRANSFERS_PER_FILE: usize = 5;

/// How long the hub may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Looking up its name.
    pub(crate) resolve: Duration,
    /// Connecting, with TLS.
    pub(crate) connect: Duration,
    /// From the request to the head of the answer.
    pub(crate) respond: Duration,
    /// Between two reads of a file.
    pub(crate) stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(4),
            connect: Duration::from_secs(4),
            respond: Duration::from_secs(8),
            stall: Duration::from_secs(15),
        }
    }
}

/// One model at one commit on the hub.
#[derive(Debug)]
pub(crate) struct Hub {
    agent: Agent,
    endpoint: String,
    name: &'static str,
    revision: &'static str,
}

impl Hub {
    /// One model at the hub, or at the mirror that `$HF_ENDPOINT` names.
    pub(crate) fn from_environment(model: &PinnedModel) -> Self {
        Self::new(&endpoint(), model, Patience::default())
    }

    /// The hub or its mirror, without a model.
    pub(super) fn of_environment(patience: Patience) -> Self {
        Self::at(&endpoint(), patience)
    }

    /// One model at a hub at `endpoint`, such as `https://huggingface.co`.
    pub(crate) fn new(endpoint: &str, model: &PinnedModel, patience: Patience) -> Self {
        Self {
            name: model.name,
            revision: model.revision,
            ..Self::at(endpoint, patience)
        }
    }

    /// A hub, without a model.
    pub(super) fn at(endpoint: &str, patience: Patience) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            .timeout_resolve(Some(patience.resolve))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.respond))
            .timeout_per_read(Some(patience.stall));
        Self {
            agent: config.build().into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            name: "",
            revision: "",
        }
    }

    /// What is at a path of the hub, at most `max_bytes` of it.
    ///
    /// # Errors
    /// When there is no answer, or another than the thing itself.
    pub(super) fn get(&self, path: &str, max_bytes: u64) -> Result<Vec<u8>, SourceError> {
        let mut response = self.agent.get(format!("{}/{path}", self.endpoint)).call()?;
        if response.status() != StatusCode::OK {
            return Err(SourceError::Refused {
                status: response.status().as_u16(),
                file: path.to_owned(),
            });
        }
        let body = response.body_mut().with_config().limit(max_bytes);
        Ok(body.read_to_vec()?)
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Fetches one file, from where an earlier attempt left off.
    fn fetch_file(
        &self,
        file: &PinnedFile,
        staging: &Staging,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        let part = staging.part(file)?;
        let resumed = length(&part)? > 0;
        self.transfer_all(file, &part, progress)?;
        match accept(staging, file) {
            // What an earlier attempt left may have been the wrong half.
            Err(SourceError::Mismatch { .. }) if resumed => {
                self.transfer_all(file, &part, progress)?;
                accept(staging, file)
            }
            outcome => outcome,
        }
    }

    /// Transfers until the file is whole, going on after an interruption while that helps.
    fn transfer_all(
        &self,
        file: &PinnedFile,
        part: &Path,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        let mut transfers = 0;
        loop {
            let before = length(part)?;
            transfers += 1;
            match self.transfer(file, part, progress) {
                Err(SourceError::Network(_))
                    if transfers < MAX_TRANSFERS_PER_FILE && length(part)? > before => {}
                outcome => return outcome,
            }
        }
    }

    /// One request: appends to `part` what is missing of it.
    fn transfer(
        &self,
        file: &PinnedFile,
        part: &Path,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        let have = length(part)?;
        if have >= file.bytes {
            return Ok(());
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.endpoint, self.name, self.revision, file.path
        );
        let mut request = self
            .agent
            .get(&url)
            .header(header::ACCEPT_ENCODING, "identity");
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let response = request.call()?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(&response, have) => {
                let part = OpenOptions::new().append(true).open(part)?;
                receive(response, part, file.bytes - have, progress)
            }
            StatusCode::OK => receive(response, File::create(part)?, file.bytes, progress),
            // The part is no beginning of this file: leave it to the comparison with the pin.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Ok(()),
            status => Err(SourceError::Refused {
                status: status.as_u16(),
                file: file.path.to_owned(),
            }),
        }
    }
}

/// Where the hub or its mirror is.
fn endpoint() -> String {
    let endpoint = std::env::var(ENDPOINT_VARIABLE).ok();
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
    endpoint.unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned())
}

impl Source for Hub {
    fn name(&self) -> String {
        self.endpoint.clone()
    }

    fn fetch(
        &self,
        wanted: &[PinnedFile],
        staging: &Staging,
        progress: &Progress,
    ) -> Result<(), SourceError> {
        let mut mismatch = None;
        for file in wanted {
            match self.fetch_file(file, staging, progress) {
                Err(error @ SourceError::Mismatch { .. }) => mismatch = Some(error),
                outcome => outcome?,
            }
        }
        mismatch.map_or(Ok(()), Err)
    }
}

/// Writes the body to `part`, and one byte over `max_bytes` at most: enough to be seen as wrong.
fn receive(
    mut response: Response<ureq::Body>,
    part: File,
    max_bytes: u64,
    progress: &Progress,
) -> Result<(), SourceError> {
    let body = response.body_mut().as_reader();
    let network = |error| ureq::Error::from(error).into();
    copy(body, part, max_bytes + 1, network, progress)
}

/// Returns whether `Content-Range: bytes <start>-<end>/<size>` starts where we want to go on.
fn starts_at(response: &Response<ureq::Body>, offset: u64) -> bool {
    response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("bytes "))
        .and_then(|value| value.split_once('-'))
        .is_some_and(|(start, _)| start.trim().parse() == Ok(offset))
}

fn length(path: &Path) -> std::io::Result<u64> {
    match fs_err::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
