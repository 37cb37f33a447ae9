//! `siamese bench storage`

use std::io::{Write, stdout};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use siamese_index::{
    Cancel, Collection, DEFAULT_COLLECTION, DocumentDraft, DocumentWrite, EncoderIdentity, Index,
    IndexOptions, Metadata, NewPassage, Progress, Reclaim, compact, restore_snapshot,
    verify_snapshot,
};

use super::synthetic::Random;

/// Documents of one write while the folder is filled, and while it is churned.
const FILL_BATCH: usize = 1000;
const CHURN_BATCH: usize = 50;
/// Words of a synthetic text.
const TEXT_WORDS: usize = 40;

/// Measure snapshots, restores, and what a store takes on the disk after many rewrites
///
/// Works without a model, on synthetic texts of 40 words and random vectors. A round of churn
/// writes every document anew in a scattered order, and deletes a tenth and writes it again. Graphs
/// are not built.
#[derive(Debug, clap::Args)]
pub(crate) struct Storage {
    /// Documents, with one vector each
    #[arg(long, default_value_t = 100_000)]
    documents: usize,
    /// Length of the vectors
    #[arg(long, default_value_t = 384)]
    dimensions: usize,
    /// Rounds of churn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Folder for all of it, removed afterwards; the system's folder for such things when absent
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Fail when the store takes more than so many times its live data
    #[arg(long, value_name = "RATIO")]
    max_ratio: Option<f64>,
    /// Compact the store while it is in use when it takes more than so many times its live data; 0
    /// lets it grow
    #[arg(long, value_name = "RATIO", default_value_t = 2.5)]
    compact_over_ratio: f64,
    /// Free dead parts of the log with each write while the store takes more than so many times its
    /// live data; 0 leaves that to sled
    #[arg(long, value_name = "RATIO", default_value_t = 2.0)]
    reclaim_over_ratio: f64,
}

impl Storage {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let folder = match &self.folder {
            Some(folder) => tempfile::tempdir_in(folder)?,
            None => tempfile::tempdir()?,
        };
        let data = folder.path().join("data");
        let index = self.open(&data)?;
        self.fill(&*index.collection(DEFAULT_COLLECTION)?)?;
        self.report_use(&index, "filled")?;
        self.snapshot(&index, folder.path())?;
        for round in 1..=self.rounds {
            self.churn(&index, round)?;
            self.report_use(&index, &format!("churn {round}"))?;
        }
        drop(index);
        let started_at = Instant::now();
        let report = compact(&data, &IndexOptions::default())?;
        figure("compact_s", started_at.elapsed().as_secs_f64())?;
        let ratio = report.after_bytes as f64 / report.live_bytes as f64;
        figure("compacted: disk / live", ratio)?;
        Ok(ExitCode::SUCCESS)
    }

    fn snapshot(&self, index: &Index, folder: &Path) -> Result<()> {
        let started_at = Instant::now();
        let snapshot = index.create_snapshot(&Cancel::default(), &Progress::default())?;
        figure("snapshot_s", started_at.elapsed().as_secs_f64())?;
        figure("snapshot_bytes", snapshot.bytes as f64)?;
        let file = index.folder().join("snapshots").join(&snapshot.name);
        let started_at = Instant::now();
        verify_snapshot(&file)?;
        figure("verify_s", started_at.elapsed().as_secs_f64())?;
        let started_at = Instant::now();
        let restored = folder.join("restored");
        restore_snapshot(&file, &restored, &IndexOptions::default())?;
        figure("restore_s", started_at.elapsed().as_secs_f64())?;
        let started_at = Instant::now();
        let restored_index = self.open(&restored)?;
        figure("open_restored_s", started_at.elapsed().as_secs_f64())?;
        self.report_use(&restored_index, "restored")?;
        drop(restored_index);
        fs_err::remove_dir_all(restored)?;
        index.delete_snapshot(&snapshot.name)?;
        Ok(())
    }

    fn open(&self, folder: &Path) -> Result<Index> {
        let encoder = EncoderIdentity {
            id: "synthetic".to_owned(),
            name: "synthetic".to_owned(),
            dimensions: self.dimensions,
        };
        let options = IndexOptions {
            // Nothing is frozen: what is measured is the record.
            max_head_passages: usize::MAX,
            compact_over_ratio: Some(self.compact_over_ratio).filter(|ratio| *ratio > 0.0),
            reclaim: (self.reclaim_over_ratio > 0.0).then_some(Reclaim {
                over_ratio: self.reclaim_over_ratio,
                ..Reclaim::default()
            }),
            ..IndexOptions::default()
        };
        Ok(Index::open(folder, &encoder, &options)?)
    }

    fn fill(&self, collection: &Collection) -> Result<()> {
        let started_at = Instant::now();
        for first in (0..self.documents).step_by(FILL_BATCH) {
            let numbers = first..self.documents.min(first + FILL_BATCH);
            let writes = numbers.map(|n| self.write(n, 0));
            collection.writer().upsert(&writes.collect::<Vec<_>>())?;
        }
        figure("fill_s", started_at.elapsed().as_secs_f64())
    }

    fn churn(&self, index: &Index, round: usize) -> Result<()> {
        let collection = index.collection(DEFAULT_COLLECTION)?;
        let started_at = Instant::now();
        let mut worst = Worst::default();
        self.in_scattered_order(0..self.documents, |numbers| {
            let writes = numbers.iter().map(|n| self.write(*n, round));
            worst.timed(|| collection.writer().upsert(&writes.collect::<Vec<_>>()))?;
            worst.look(index)
        })?;
        self.in_scattered_order(0..self.documents / 10, |numbers| {
            let ids: Vec<_> = numbers.iter().map(|n| id(*n)).collect();
            collection.writer().delete(&ids)?;
            let writes = numbers.iter().map(|n| self.write(*n, round));
            worst.timed(|| collection.writer().upsert(&writes.collect::<Vec<_>>()))?;
            worst.look(index)
        })?;
        figure("churn_s", started_at.elapsed().as_secs_f64())?;
        let name = format!("churn {round}: worst store / live");
        figure(&name, worst.store_ratio)?;
        let name = format!("churn {round}: worst with copies / live");
        figure(&name, worst.disk_ratio)?;
        figure(
            &format!("churn {round}: slowest write_s"),
            worst.write.as_secs_f64(),
        )
    }

    fn in_scattered_order(
        &self,
        numbers: Range<usize>,
        mut act: impl FnMut(&[usize]) -> Result<()>,
    ) -> Result<()> {
        let mut scattered: Vec<_> = numbers.collect();
        scattered.sort_by_key(|n| Random::new(*n as u64).next());
        scattered.chunks(CHURN_BATCH).try_for_each(&mut act)
    }

    fn write(&self, n: usize, round: usize) -> DocumentWrite {
        let mut random = Random::new((n * 1000 + round) as u64);
        let text = random.text(TEXT_WORDS);
        let vector = (0..self.dimensions).map(|_| random.next() as f32 / u64::MAX as f32 - 0.5);
        let passages = Some(vec![NewPassage {
            start: 0,
            end: text.len(),
            vector: vector.collect(),
        }]);
        let mut metadata = Metadata::new();
        metadata.insert("round".to_owned(), round.into());
        metadata.insert("group".to_owned(), (n % 100).into());
        let draft = DocumentDraft {
            id: id(n),
            title: Some(format!("Document {n}")),
            text,
            metadata,
        };
        DocumentWrite { draft, passages }
    }

    fn report_use(&self, index: &Index, when: &str) -> Result<()> {
        let (live_bytes, disk_bytes) = (index.live_bytes(), index.store_bytes()?);
        let ratio = disk_bytes as f64 / live_bytes as f64;
        figure(&format!("{when}: live_bytes"), live_bytes as f64)?;
        figure(&format!("{when}: disk / live"), ratio)?;
        let max_ratio = self.max_ratio.unwrap_or(f64::INFINITY);
        ensure!(
            ratio <= max_ratio,
            "the store takes {ratio:.2} times its live data; --max-ratio is {max_ratio}"
        );
        Ok(())
    }
}

/// The worst that was seen during a round.
#[derive(Debug, Default)]
struct Worst {
    /// Of the store in use, for each byte of live data.
    store_ratio: f64,
    /// Of all that is on the disk while the store is compacted.
    disk_ratio: f64,
    write: Duration,
}

impl Worst {
    fn look(&mut self, index: &Index) -> Result<()> {
        let live_bytes = index.live_bytes() as f64;
        let store_ratio = index.store_bytes()? as f64 / live_bytes;
        let disk_ratio = index.store_folders_bytes()? as f64 / live_bytes;
        self.store_ratio = self.store_ratio.max(store_ratio);
        self.disk_ratio = self.disk_ratio.max(disk_ratio);
        Ok(())
    }

    fn timed<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let started_at = Instant::now();
        let outcome = write();
        self.write = self.write.max(started_at.elapsed());
        outcome
    }
}

fn id(n: usize) -> String {
    format!("document-{n:08}")
}

fn figure(name: &str, value: f64) -> Result<()> {
    let value = if value >= 1e6 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    };
    writeln!(stdout(), "{name:<36} {value}").context("standard output")
}
