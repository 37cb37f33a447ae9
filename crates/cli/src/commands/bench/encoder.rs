//! `siamese bench encoder`

use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Deserialize;
use serde_json::{Value, json};
use siamese_encoder::{Encoder, EncoderOptions, InputKind, Precision};
use siamese_index::{Workers, most_alike};
use siamese_server::config::{Overrides, Settings};

use crate::model::{DEFAULT_MODEL, models_dir, resolve};

/// Encode the texts of a file and print the time; tokenising is inside it
///
/// With --batch 1 the latency of one text at a time is printed, else the throughput. Texts are
/// sorted by length before they are cut into batches.
#[derive(Debug, clap::Args)]
pub(crate) struct EncoderBench {
    /// Path of a model folder, or a name in the models folder
    #[arg(long, value_name = "DIR|NAME", default_value = DEFAULT_MODEL.name)]
    model: String,
    /// JSON lines with a field "text"
    #[arg(long, value_name = "FILE")]
    texts: PathBuf,
    /// Texts of one forward pass
    #[arg(long, value_name = "N", default_value = "32")]
    batch: NonZeroUsize,
    /// Threads; one for each core without it
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// How often all texts are encoded; the median counts
    #[arg(long, value_name = "N", default_value = "5")]
    repeat: NonZeroUsize,
    /// How weights are kept
    #[arg(long, value_enum, default_value_t = PrecisionName::Int16)]
    precision: PrecisionName,
    /// Take the generic path through candle, which GPUs take: in f16 where the precision is an integer
    #[arg(long)]
    generic: bool,
    /// Write the vectors here, raw little-endian f32
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Also compare all pairs of the texts' vectors, and print the time
    #[arg(long)]
    all_pairs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PrecisionName {
    /// As in the model
    F32,
    /// 16-bit codes where the CPU multiplies them, else f32
    Int16,
    /// bfloat16 where the CPU multiplies it, else 16-bit codes
    Bf16,
    /// 8-bit codes where the CPU multiplies them, else bfloat16
    Int8,
}

#[derive(Debug, Deserialize)]
struct Line {
    text: String,
}

impl EncoderBench {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let texts = self.read_texts()?;
        let encoder = self.open()?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        // Also the warm-up: buffers get their size here.
        let (vectors, tokens) = encode(&encoder, &texts, self.batch.get())?;
        if let Some(path) = &self.vectors {
            let bytes: Vec<u8> = vectors
                .iter()
                .flatten()
                .flat_map(|v| v.to_le_bytes())
                .collect();
            fs_err::write(path, bytes)?;
        }
        let mut report = json!({
            "engine": format!("siamese {}", encoder.info().path),
            "texts": texts.len(),
            "tokens": tokens,
            "batch": self.batch,
            "threads": self.threads().get(),
            "precision": self.precision.to_possible_value().map(|v| v.get_name().to_owned()),
        });
        let measured = if self.batch.get() == 1 {
            self.latencies(&encoder, &texts)?
        } else {
            self.throughput(&encoder, &texts, tokens)?
        };
        if let (Value::Object(report), Value::Object(measured)) = (&mut report, measured) {
            report.extend(measured);
        }
        if self.all_pairs {
            report["all_pairs_seconds"] = json!(self.compare(&vectors)?);
        }
        self.print(&report)?;
        Ok(ExitCode::SUCCESS)
    }

    fn read_texts(&self) -> Result<Vec<String>> {
        let file = fs_err::read_to_string(&self.texts)?;
        let lines = file
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty());
        let texts = lines
            .map(|(line, number)| {
                let line: Line = serde_json::from_str(line)
                    .with_context(|| format!("{}: line {number}", self.texts.display()))?;
                Ok(line.text)
            })
            .collect::<Result<Vec<_>>>()?;
        ensure!(!texts.is_empty(), "{}: no texts", self.texts.display());
        Ok(texts)
    }

    fn open(&self) -> Result<Encoder> {
        let models = models_dir(&Settings::load(&Overrides::default())?);
        let options = EncoderOptions {
            threads: Some(self.threads().get()),
            precision: match self.precision {
                PrecisionName::F32 => Precision::F32,
                PrecisionName::Int16 => Precision::Int16,
                PrecisionName::Bf16 => Precision::Bf16,
                PrecisionName::Int8 => Precision::Int8,
            },
            generic: self.generic,
            ..EncoderOptions::default()
        };
        Ok(Encoder::open(&resolve(&self.model, &models)?, &options)?)
    }

    fn threads(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.threads.unwrap_or_else(cores)
    }

    /// Each text by itself, all of them `repeat` times.
    fn latencies(&self, encoder: &Encoder, texts: &[&str]) -> Result<Value> {
        let mut times = Vec::with_capacity(texts.len() * self.repeat.get());
        for _ in 0..self.repeat.get() {
            for text in texts {
                let started = Instant::now();
                encoder.encode(&[text], InputKind::Document)?;
                times.push(started.elapsed());
            }
        }
        times.sort_unstable();
        let at = |percent: usize| {
            milliseconds(times[(times.len() * percent / 100).min(times.len() - 1)])
        };
        Ok(json!({ "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99) }))
    }

    fn throughput(&self, encoder: &Encoder, texts: &[&str], tokens: usize) -> Result<Value> {
        let mut times = Vec::with_capacity(self.repeat.get());
        for _ in 0..self.repeat.get() {
            let started = Instant::now();
            encode(encoder, texts, self.batch.get())?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let seconds = times[times.len() / 2].as_secs_f64();
        Ok(json!({ "seconds": seconds, "tokens_per_second": tokens as f64 / seconds }))
    }

    /// The median time in which each vector finds the one most like it, by comparing all pairs.
    fn compare(&self, vectors: &[Vec<f32>]) -> Result<f64> {
        let mut times = Vec::with_capacity(self.repeat.get());
        for _ in 0..self.repeat.get() {
            let started = Instant::now();
            most_alike(vectors, Workers::new(self.threads()))?;
            times.push(started.elapsed());
        }
        times.sort_unstable();
        Ok(times[times.len() / 2].as_secs_f64())
    }

    fn print(&self, report: &Value) -> Result<()> {
        let mut out = stdout().lock();
        if self.json {
            writeln!(out, "{report}")?;
            return Ok(());
        }
        for (name, value) in report.as_object().into_iter().flatten() {
            match value {
                Value::Number(number) if number.is_f64() => {
                    writeln!(out, "{name:<18} {:.3}", number.as_f64().unwrap_or_default())?;
                }
                Value::String(text) => writeln!(out, "{name:<18} {text}")?,
                value => writeln!(out, "{name:<18} {value}")?,
            }
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Vectors in the order of the texts, and the tokens that were encoded.
fn encode(encoder: &Encoder, texts: &[&str], batch: usize) -> Result<(Vec<Vec<f32>>, usize)> {
    let tokenized = encoder.tokenize_all(texts, InputKind::Document)?;
    let mut places: Vec<usize> = (0..texts.len()).collect();
    places.sort_by_key(|place| std::cmp::Reverse(tokenized[*place].tokens_kept()));
    let mut vectors = vec![Vec::new(); texts.len()];
    for places in places.chunks(batch) {
        let batch: Vec<_> = places.iter().map(|place| &tokenized[*place]).collect();
        let encoded = encoder.encode_tokenized(&batch)?;
        for (place, vector) in places.iter().zip(encoded) {
            vectors[*place] = vector;
        }
    }
    let tokens = tokenized.iter().map(|text| text.tokens_kept()).sum();
    Ok((vectors, tokens))
}
