//! `siamese generation`: other settings for the documents of a collection in use.

mod compare;
mod judged;
mod reencode;
mod report;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::client::{Connection, Service};

pub(super) use reencode::Reencode;

/// Between two looks whether a generation is filled.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Make, list, compare, activate and delete generations of a collection: its documents with other settings
#[derive(Debug, clap::Args)]
pub(crate) struct Generation {
    #[command(subcommand)]
    command: GenerationCommand,
}

#[derive(Debug, Subcommand)]
enum GenerationCommand {
    /// List the generations
    List {
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make a generation, and wait until it is filled; one with the same settings is not made again
    Create {
        #[command(flatten)]
        settings: GenerationSettings,
        /// Print the generation's number and state as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    Compare(compare::Compare),
    /// Go on filling a generation whose job has failed or was ended
    Resume {
        /// Its number, as listed
        number: u32,
        /// Print the generation's number and state as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Let searches see a generation; the one before is kept
    Activate {
        /// Its number, as listed
        number: u32,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
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
    generations: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Started {
    generation: u32,
    state: String,
    job: Option<String>,
    #[serde(default)]
    warnings: Vec<Warning>,
}

#[derive(Debug, Deserialize)]
struct Warning {
    detail: String,
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
            GenerationCommand::List { json, connection } => {
                list(Service::new(&connection).get("generations")?, json)?;
            }
            GenerationCommand::Create {
                settings,
                json,
                connection,
            } => {
                create(&Service::new(&connection), &settings.to_json())?.tell(json)?;
            }
            GenerationCommand::Compare(compare) => compare.run()?,
            GenerationCommand::Resume {
                number,
                json: as_json,
                connection,
            } => {
                let service = Service::new(&connection);
                let started = service.post(&format!("generations/{number}/resume"), &json!({}))?;
                filled(&service, started)?.tell(as_json)?;
            }
            GenerationCommand::Activate {
                number,
                json,
                connection,
            } => {
                let activated = activate(&Service::new(&connection), number)?;
                match json {
                    true => writeln!(stdout(), "{activated}")?,
                    false => show(activated)?,
                }
            }
            GenerationCommand::Delete { number, connection } => {
                Service::new(&connection).delete(&format!("generations/{number}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A generation that holds every document.
#[derive(Debug, Clone, Copy)]
struct Filled {
    number: u32,
    is_active: bool,
}

impl Filled {
    fn to_json(self) -> Value {
        let state = if self.is_active { "active" } else { "ready" };
        json!({ "generation": self.number, "state": state })
    }

    fn tell(self, as_json: bool) -> Result<()> {
        let Self { number, is_active } = self;
        if as_json {
            writeln!(stdout(), "{}", self.to_json())?;
            return Ok(());
        }
        match is_active {
            true => writeln!(
                stdout(),
                "generation {number} has this encoder and these settings, and is active already"
            )?,
            false => writeln!(
                stdout(),
                "generation {number} is ready; siamese generation activate {number} lets searches see it"
            )?,
        }
        Ok(())
    }
}

/// Makes a generation and waits until it is filled, or finds one with these settings.
fn create(service: &Service, settings: &Value) -> Result<Filled> {
    filled(service, service.post("generations", settings)?)
}

/// Waits until a generation is filled.
fn filled(service: &Service, started: Value) -> Result<Filled> {
    let started: Started = serde_json::from_value(started)?;
    let number = started.generation;
    let filled = Filled {
        number,
        is_active: started.state == "active",
    };
    started
        .warnings
        .iter()
        .try_for_each(|it| warn(&it.detail))?;
    let Some(job) = &started.job else {
        // On a cluster one of the services fills it, without a job.
        if started.state == "filling" {
            wait_until_filled(service, number)?;
        }
        return Ok(filled);
    };
    let job = service.wait_for_job(job)?;
    if job["state"] != "done" {
        let state = job["state"].as_str().unwrap_or_default();
        let detail = job["error"]["detail"].as_str().unwrap_or_default();
        bail!(
            "filling generation {number} has ended: {state} {detail}; siamese generation resume {number} goes on"
        );
    }
    job["result"]["warning"].as_str().map_or(Ok(()), warn)?;
    Ok(filled)
}

/// Waits for a generation that is filled without a job.
fn wait_until_filled(service: &Service, number: u32) -> Result<()> {
    loop {
        let generation: Listed =
            serde_json::from_value(service.get(&format!("generations/{number}"))?)?;
        match &*generation.state {
            "filling" => std::thread::sleep(LOOK_EVERY),
            "paused" => bail!(
                "filling generation {number} pauses; siamese generation resume {number} goes on"
            ),
            _ => return Ok(()),
        }
    }
}

fn warn(detail: &str) -> Result<()> {
    Ok(writeln!(stderr(), "warning: {detail}")?)
}

/// Returns the generation, as the service describes it.
fn activate(service: &Service, number: u32) -> Result<Value> {
    service.post(&format!("generations/{number}/activate"), &json!({}))
}

fn list(generations: Value, as_json: bool) -> Result<()> {
    if as_json {
        writeln!(stdout(), "{generations}")?;
        return Ok(());
    }
    let list: List = serde_json::from_value(generations)?;
    list.generations.into_iter().try_for_each(show)
}

fn show(generation: Value) -> Result<()> {
    let Listed {
        generation,
        state,
        encoder,
        documents,
        passages,
    } = serde_json::from_value(generation).context("an answer of another form")?;
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
