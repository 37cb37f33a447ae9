//! `siamese serve`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use siamese_server::ForcedEnd;
use siamese_server::access::{KeyCollections, NewKey, Scope};
use siamese_server::config::{Overrides, Settings};

use crate::{freed_memory, logging, model, private_files};

/// What the first key is called.
const FIRST_KEY: &str = "first";

/// Run the service until Ctrl-C or SIGTERM
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Settings file (TOML); config/default.toml documents every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Folder with everything that must survive
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Path of a sentence-transformers folder, or a name in the models folder
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    /// Folder of a cross-encoder that scores hits again for searches that ask for it
    #[arg(long, value_name = "DIR")]
    reranker: Option<PathBuf>,
    /// Start without keys on an address that others reach: everybody may do everything
    #[arg(long)]
    insecure: bool,
}

impl Serve {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let settings = Settings::load(&Overrides {
            config_file: self.config,
            listen: self.listen,
            data_dir: self.data,
            model: self.model,
            reranker: self.reranker,
            insecure: self.insecure,
            ..Overrides::default()
        })?;
        logging::start(&settings.log)?;
        let models_dir = model::models_dir(&settings);
        let models = model::folders(&settings, models_dir)?;
        private_files::keep_to_this_user();
        if let Some(key) = first_key(&settings)? {
            let path = settings.keys_file().path().display().to_string();
            eprintln!(
                "a first key, with the scope admin, was made in {path}; it is not shown again:\n{key}"
            );
        }
        freed_memory::give_back();
        let runtime = siamese_server::runtime()?;
        let scheme = scheme(&settings);
        let on_listening = |address| tracing::info!(%address, "listening on {scheme}://{address}");
        let served = siamese_server::serve(settings, models, on_listening, end_process);
        let outcome = runtime.block_on(served);
        // Work that nobody waits for any more, such as loading a model, must not keep the process.
        runtime.shutdown_background();
        outcome?;
        Ok(ExitCode::SUCCESS)
    }
}

/// How the service is spoken to.
pub(super) fn scheme(settings: &Settings) -> &'static str {
    match settings.server.tls.certificate() {
        Some(_) => "https",
        None => "http",
    }
}

/// Makes a key where the settings want one and there is no file of keys.
fn first_key(settings: &Settings) -> Result<Option<String>> {
    let file = settings.keys_file();
    if !settings.access.create_first_key || file.read()?.is_some() {
        return Ok(None);
    }
    let key = file.create(NewKey {
        name: FIRST_KEY.to_owned(),
        scopes: vec![Scope::Admin],
        collections: KeyCollections::default(),
        expires_at: None,
        max_requests_per_minute: None,
        max_tokens_per_minute: None,
    })?;
    Ok(Some(key.reveal().to_owned()))
}

/// Ends the process with whatever is still going on in it.
pub(super) fn end_process(end: ForcedEnd) {
    std::process::exit(end.exit_code())
}
