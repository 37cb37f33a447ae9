//! `siamese generation` and `siamese reencode`: another encoder for a collection in use.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Address, Connection, Service, collection_name};

/// Time between two looks at a job.
const PAUSE: Duration = Duration::from_millis(300);

/// Make, list, activate and delete generations of a collection: its documents with other settings
#[derive(Debug, clap::Args)]
pub(crate) struct Generation {
    #[command(subcommand)]
    command: GenerationCommand,
}

#[derive(Debug, Subcommand)]
enum GenerationCommand {
    /// List the generations
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Make a generation, and wait until it is filled
    Create {
        #[command(flatten)]
        settings: GenerationSettings,
        #[command(flatten)]
        connection: Connection,
    },
    /// Let searches see a generation; the one before is kept
    Activate {
        /// Its number, as listed
        number: u32,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delete a generation that is not active
    Delete {
        /// Its number, as listed
        number: u32,
        #[command(flatten)]
        connection: Connection,
    },
}

/// What is other than in the active generation.
#[derive(Debug, clap::Args)]
struct GenerationSettings {
    /// A name of [encoders.NAME] in the service's settings, or default
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// sentence, fixed, paragraph or off
    #[arg(long, value_name = "MODE")]
    chunking: Option<String>,
    /// Tokens of a passage
    #[arg(long, value_name = "TOKENS", requires = "chunking")]
    max_tokens: Option<u32>,
    /// Whether words are indexed
    #[arg(long, value_name = "true|false")]
    lexical: Option<bool>,
}

/// Encode a collection with another encoder while it is in use, and then let searches see that
///
/// As `siamese generation create` and `activate`. The generation before is kept, so that it is one command to go
/// back, until `siamese generation delete` is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Reencode {
    /// The collection
    #[arg(value_parser = collection_name)]
    collection: String,
    /// A name of [encoders.NAME] in the service's settings, or default
    #[arg(long, value_name = "NAME")]
    encoder: String,
    #[command(flatten)]
    address: Address,
}

/// A generation, as far as people are shown it.
#[derive(Debug, Deserialize)]
struct Listed {
    generation: u32,
    state: String,
    encoder: ListedEncoder,
    documents: u64,
    passages: u64,
}

#[derive(Debug, Deserialize)]
struct ListedEncoder {
    name: String,
    model: String,
    dimensions: usize,
}

#[derive(Debug, Deserialize)]
struct List {
    generations: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Started {
    generation: u32,
    job: String,
}

impl GenerationSettings {
    fn to_json(&self) -> Value {
        let mut settings = Map::new();
        if let Some(encoder) = &self.encoder {
            settings.insert("encoder".to_owned(), json!(encoder));
        }
        if let Some(mode) = &self.chunking {
            let mut chunking = json!({"mode": mode});
            if let Some(max_tokens) = self.max_tokens {
                chunking["max_tokens"] = json!(max_tokens);
            }
            settings.insert("chunking".to_owned(), chunking);
        }
        if let Some(lexical) = self.lexical {
            settings.insert("lexical".to_owned(), json!(lexical));
        }
        Value::Object(settings)
    }
}

impl Generation {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            GenerationCommand::List { connection } => {
                let list = Service::new(&connection).get("generations")?;
                let list: List = serde_json::from_value(list)?;
                list.generations.iter().try_for_each(show)?;
            }
            GenerationCommand::Create {
                settings,
                connection,
            } => {
                let number = create(&Service::new(&connection), &settings.to_json())?;
                writeln!(
                    stdout(),
                    "generation {number} is ready; siamese generation activate {number} lets searches see it"
                )?;
            }
            GenerationCommand::Activate { number, connection } => {
                activate(&Service::new(&connection), number)?;
            }
            GenerationCommand::Delete { number, connection } => {
                Service::new(&connection).delete(&format!("generations/{number}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Reencode {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let service = Service::new(&Connection {
            url: self.address.url,
            collection: self.collection,
        });
        let number = create(&service, &json!({"encoder": self.encoder}))?;
        activate(&service, number)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes a generation and waits until it is filled. Returns its number.
fn create(service: &Service, settings: &Value) -> Result<u32> {
    let started: Started = serde_json::from_value(service.post("generations", settings)?)?;
    let bar = progress();
    loop {
        let job = service.job(&started.job)?;
        let count = |name: &str| job["progress"][name].as_u64().unwrap_or_default();
        bar.set_length(count("total"));
        bar.set_position(count("done"));
        match job["state"].as_str() {
            Some("queued" | "running") => std::thread::sleep(PAUSE),
            Some("done") => break,
            state => {
                let detail = job["error"]["detail"].as_str().unwrap_or_default();
                let number = started.generation;
                bail!(
                    "filling generation {number} has ended: {} {detail}; POST generations/{number}/resume goes on",
                    state.unwrap_or_default()
                );
            }
        }
    }
    bar.finish_and_clear();
    Ok(started.generation)
}

fn activate(service: &Service, number: u32) -> Result<()> {
    let activated = service.post(&format!("generations/{number}/activate"), &json!({}))?;
    show(&serde_json::from_value(activated).context("an answer of another form")?)
}

fn show(generation: &Listed) -> Result<()> {
    let Listed {
        generation,
        state,
        encoder,
        documents,
        passages,
    } = generation;
    let ListedEncoder {
        name,
        model,
        dimensions,
    } = encoder;
    writeln!(
        stdout(),
        "{generation}  {state}  {name} ({model}, {dimensions} dimensions)  {documents} documents, {passages} passages"
    )?;
    Ok(())
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} documents, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
