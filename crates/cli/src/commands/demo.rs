//! `siamese demo`: the newcomer's one command.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use siamese_server::ModelFolders;
use siamese_server::config::{Overrides, Settings, parse_listen_address};

use super::search::{hits, shortened};
use super::serve::end_process;
use crate::client::{Address, Service};
use crate::sender::Sender;
use crate::{logging, model};

/// 340 short documents that the project wrote.
const CORPUS: &str = include_str!("../../demo/corpus.jsonl");
/// Queries that share no telling word with what they should find.
const QUERIES: [&str; 4] = [
    "my wallet was debited more than it should",
    "my spouse was not able to become a member",
    "growling machinery keeps us awake",
    "stranger accessed my profile",
];
const PAIRS: [(&str, &str); 3] = [
    ("The picture is foggy after dark", "Hazy video at night"),
    ("The cat set off the siren", "Our pet triggered an alarm"),
    ("The motor wakes our baby", "How do I change my password?"),
];
const SHOWN_HITS: usize = 3;
const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// See it work: starts the service on a small corpus and shows what it finds
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// End after the tour instead of serving on
    #[arg(long)]
    exit: bool,
    /// Address and port to listen on; another free port is taken when this one is in use
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080",
          value_parser = parse_listen_address)]
    listen: SocketAddr,
    /// Path of a sentence-transformers folder, or a name in the models folder
    #[arg(long, value_name = "DIR|NAME")]
    model: Option<String>,
    /// Serve everybody when others can reach the address
    #[arg(long)]
    insecure: bool,
}

impl Demo {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let listen = self.free_address()?;
        let folder = data_folder()?;
        let mut settings = Settings::load(&Overrides {
            listen: Some(listen.to_string()),
            data_dir: Some(folder.path().to_owned()),
            model: self.model.clone(),
            insecure: self.insecure,
            ..Overrides::default()
        })?;
        "warn".clone_into(&mut settings.log.filter);
        logging::start(&settings.log)?;
        let models_dir = model::models_dir(&settings);
        let models = model::folders(&settings, models_dir)?;

        let server = Server::start(settings, models)?;
        let url = format!("http://{}", server.address);
        let service = Service::at(&Address::of(&*url));
        server.wait_until_ready(&service)?;
        tour(&service)?;
        how_to_go_on(&url)?;
        if self.exit {
            return Ok(ExitCode::SUCCESS);
        }
        writeln!(stdout(), "\nServing on {url} until Ctrl-C.")?;
        server.wait()?;
        Ok(ExitCode::SUCCESS)
    }

    /// The address asked for, or the same with another port when that one is taken.
    fn free_address(&self) -> Result<SocketAddr> {
        if TcpListener::bind(self.listen).is_ok() {
            return Ok(self.listen);
        }
        let any_port = SocketAddr::new(self.listen.ip(), 0);
        let free = TcpListener::bind(any_port)
            .and_then(|listener| listener.local_addr())
            .with_context(|| format!("cannot listen on {}", self.listen))?;
        writeln!(
            stdout(),
            "{} is in use; taking {free} instead.",
            self.listen
        )?;
        Ok(free)
    }
}

/// A folder of its own for each run, so that a demo never meets anybody's data.
fn data_folder() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("siamese-demo-")
        .tempdir()
        .context("cannot make a data folder")
}

/// The service, on a thread of this process.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<Result<()>>,
}

impl Server {
    fn start(settings: Settings, models: ModelFolders) -> Result<Self> {
        let (listening, address) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("server".to_owned())
            .spawn(move || {
                let runtime = siamese_server::runtime()?;
                let on_listening = |address| {
                    // Nobody listens any more when the demo has given up.
                    listening.send(address).unwrap_or_default();
                };
                let served = siamese_server::serve(settings, models, on_listening, end_process);
                let outcome = runtime.block_on(served);
                runtime.shutdown_background();
                Ok(outcome?)
            })?;
        match address.recv() {
            Ok(address) => Ok(Self { address, thread }),
            Err(_) => Err(ended(thread)),
        }
    }

    fn wait_until_ready(&self, service: &Service) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !service.is_ready()? {
            if self.thread.is_finished() || Instant::now() > deadline {
                bail!("the service did not become ready");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait(self) -> Result<()> {
        self.thread
            .join()
            .map_err(|_| anyhow!("the service panicked"))?
    }
}

fn ended(thread: JoinHandle<Result<()>>) -> anyhow::Error {
    match thread.join() {
        Ok(Err(error)) => error,
        Ok(Ok(())) => anyhow!("the service ended at once"),
        Err(_) => anyhow!("the service panicked"),
    }
}

fn tour(service: &Service) -> Result<()> {
    let started_at = Instant::now();
    let documents = ingest_corpus(service)?;
    let mut out = stdout();
    let took = started_at.elapsed().as_secs_f64();
    writeln!(
        out,
        "Encoded and stored {documents} documents in {took:.1} s.\n"
    )?;
    writeln!(out, "Searches by meaning; look for shared words:")?;
    for query in QUERIES {
        show_search(service, query)?;
    }
    writeln!(out, "\nHow alike are these? Cosine, 1 is the same:")?;
    let pairs: Vec<_> = PAIRS
        .iter()
        .map(|(left, right)| json!([left, right]))
        .collect();
    let answer = service.post("similarity", &json!({ "pairs": pairs }))?;
    for ((left, right), score) in PAIRS
        .iter()
        .zip(answer["scores"].as_array().into_iter().flatten())
    {
        writeln!(
            out,
            "  {:.2}  {left}  ~  {right}",
            score.as_f64().unwrap_or_default()
        )?;
    }
    Ok(())
}

fn ingest_corpus(service: &Service) -> Result<usize> {
    let lines: Vec<&str> = CORPUS.lines().filter(|line| !line.is_empty()).collect();
    let mut sender = Sender::new(service, progress(lines.len()));
    for (line, number) in lines.iter().zip(1..) {
        sender.line("demo/corpus.jsonl", number, line)?;
    }
    sender.flush()?;
    let counts = sender.finish().documents;
    if counts.failed > 0 {
        bail!("{} documents of the demo were refused", counts.failed);
    }
    Ok(lines.len())
}

fn progress(documents: usize) -> ProgressBar {
    let bar = ProgressBar::new(documents as u64);
    if let Ok(style) = ProgressStyle::with_template("encoding {msg} of {len}  {elapsed}") {
        bar.set_style(style);
    }
    if !stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}

fn show_search(service: &Service, query: &str) -> Result<()> {
    let started_at = Instant::now();
    let answer = service.post("search", &json!({ "query": query, "top_k": SHOWN_HITS }))?;
    let took_ms = started_at.elapsed().as_secs_f64() * 1000.0;
    let mut out = stdout();
    writeln!(out, "\n  \"{query}\"  ({took_ms:.0} ms)")?;
    for hit in hits(answer)? {
        let title = hit.title.unwrap_or(hit.id);
        writeln!(out, "    {:.2}  {title}", hit.score)?;
        writeln!(out, "          {}", shortened(&hit.passage.text, 90))?;
    }
    Ok(())
}

fn how_to_go_on(url: &str) -> Result<()> {
    writeln!(
        stdout(),
        "\nGo on with:\n\
         \n  curl -s {url}/search -H 'content-type: application/json' \\\
         \n    -d '{{\"query\": \"the lamp blinks\", \"top_k\": 3}}'\
         \n  curl -s {url}/documents -H 'content-type: application/json' \\\
         \n    -d '{{\"documents\": [{{\"id\": \"mine-1\", \"text\": \"The lamp blinks twice at midnight.\"}}]}}'\
         \n  curl -s {url}/similarity -H 'content-type: application/json' \\\
         \n    -d '{{\"pairs\": [[\"a cat sleeps\", \"a kitten naps\"]]}}'\
         \n\nA page to search with: {url}/      The API: {url}/docs"
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_large_enough_and_every_line_is_a_document() {
        let mut ids = std::collections::BTreeSet::new();
        for line in CORPUS.lines() {
            let document: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                ids.insert(document["id"].as_str().unwrap().to_owned()),
                "{line}"
            );
            assert!(!document["text"].as_str().unwrap().trim().is_empty());
        }
        assert!(ids.len() >= 300);
    }

    #[test]
    fn a_taken_port_is_given_up_for_a_free_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap();
        let demo = Demo {
            exit: true,
            listen,
            model: None,
            insecure: false,
        };
        assert_ne!(demo.free_address().unwrap().port(), listen.port());
    }

    #[test]
    fn every_demo_has_a_folder_of_its_own() {
        let (one, two) = (data_folder().unwrap(), data_folder().unwrap());
        assert_ne!(one.path(), two.path());
    }
}
