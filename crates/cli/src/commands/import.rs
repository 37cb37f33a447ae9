//! `siamese import`

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde_json::json;
use siamese_index::{
    Collection, CollectionEncoder, Error, ImportedDocument, Index, IndexOptions,
    check_collection_name,
};

use crate::account::Place;
use crate::client::{Address, Service, collection_name};
use crate::export_file::ExportFile;
use crate::sender::{Sender, progress};

/// Documents of one write into a data folder, and bytes of their texts.
const MAX_WRITE_DOCUMENTS: usize = 500;
const MAX_WRITE_BYTES: usize = 4 << 20;

/// Store what `siamese export` wrote
///
/// With --data, into the data folder of a service that is not running, vectors and times as they
/// are; the encoder must be the same. With --cluster, the same on a Qdrant cluster. Without either, through a running
/// service, which encodes the texts again. An import that was interrupted is simply started again.
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The export
    file: PathBuf,
    /// Data folder to store into without encoding
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Store on the cluster in [storage.qdrant] of this settings file, without encoding
    #[cfg(feature = "qdrant")]
    #[arg(long, value_name = "SETTINGS", conflicts_with = "data")]
    cluster: Option<PathBuf>,
    /// Collection to store into; the one it came from when absent
    #[arg(long, value_parser = collection_name)]
    collection: Option<String>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    address: Address,
}

impl Import {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let export = ExportFile::open(&self.file)?;
        let collection = self.collection.clone();
        let collection = collection.unwrap_or_else(|| export.head.collection.clone());
        // Nobody has looked at a name that comes from the file.
        check_collection_name(&collection)?;
        let bar = progress(fs_err::metadata(&self.file)?.len());
        #[cfg(feature = "qdrant")]
        if let Some(settings) = &self.cluster {
            return self.store_on_cluster(export, settings, &collection, &bar);
        }
        match &self.data {
            Some(data) => self.store_offline(export, data, &collection, &bar),
            None => self.store_by_service(export, collection, &bar),
        }
    }

    fn store_offline(
        &self,
        export: ExportFile<fs_err::File>,
        data: &Path,
        collection: &str,
        bar: &ProgressBar,
    ) -> Result<ExitCode> {
        crate::private_files::keep_to_this_user();
        self.check_vectors(&export)?;
        let options = IndexOptions {
            // Graphs are built by the service that opens the folder.
            max_head_passages: usize::MAX,
            ..IndexOptions::default()
        };
        let index = Index::open(data, &export.head.encoder(), &options)?;
        let collection = collection_with(&index, collection, &export)?;
        let stored = store_all(export, bar, |writes| {
            collection.writer().import(writes)?;
            Ok(writes.len())
        })?;
        self.tell(stored)
    }

    /// As [`Self::store_offline`], on a cluster. What is there already is left as it is.
    #[cfg(feature = "qdrant")]
    fn store_on_cluster(
        &self,
        export: ExportFile<fs_err::File>,
        settings: &Path,
        collection: &str,
        bar: &ProgressBar,
    ) -> Result<ExitCode> {
        use siamese_qdrant::Cluster;

        self.check_vectors(&export)?;
        let cluster = crate::cluster::settings(Some(settings.to_owned()), None)?;
        let encoder = CollectionEncoder::default_of(&export.head.encoder());
        let made_with = export.head.settings()?;
        let cluster = Cluster::open(cluster, made_with, encoder.clone())?;
        let collection = match cluster.put(collection, &made_with, &encoder) {
            Ok((made, _)) => made,
            // What is stored keeps its settings; the passages come as they were made.
            Err(Error::SettingsConflict { .. }) => cluster.get(collection)?,
            Err(error) => return Err(error.into()),
        };
        cluster.check_one_generation(collection.reader.name())?;
        let stored = store_all(export, bar, |writes| {
            Ok(collection.writer.import(writes)?)
        })?;
        self.tell(stored)
    }

    fn check_vectors(&self, export: &ExportFile<fs_err::File>) -> Result<()> {
        ensure!(
            export.head.has_vectors(),
            "{} has no vectors; import it into a running service (without --data), or export with --vectors",
            self.file.display()
        );
        Ok(())
    }

    fn tell(&self, stored: usize) -> Result<ExitCode> {
        match self.json {
            true => writeln!(stdout(), "{}", json!({ "stored": stored, "failed": 0 }))?,
            false => writeln!(
                stdout(),
                "{stored} documents stored, none of them encoded again"
            )?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn store_by_service(
        &self,
        mut export: ExportFile<fs_err::File>,
        collection: String,
        bar: &ProgressBar,
    ) -> Result<ExitCode> {
        let service = Service::new(&self.address.collection(collection));
        bar.suspend(|| {
            eprintln!(
                "the texts are encoded again; with --data DIR, vectors are stored as they are"
            );
        });
        if service.describe_collection()?.is_none() {
            let settings = json!({
                "chunking": export.head.chunking,
                "index": export.head.index,
                "lexical": export.head.lexical,
                "language": export.head.language,
                "fold_accents": export.head.fold_accents,
                "on_duplicate": export.head.on_duplicate,
                "keep_queries": export.head.keep_queries,
            });
            service
                .put_collection(&settings)
                .context("make the collection with other settings first")?;
        }
        let name = self.file.display().to_string();
        // What was stored there is stored here, also what resembles others.
        let mut sender = Sender::new(&service, bar.clone()).with_duplicates();
        while let Some(document) = export.next()? {
            sender.push(
                Place::new(&name, Some(export.line())),
                &document.to_encode(),
            )?;
            bar.set_position(export.bytes());
        }
        sender.flush()?;
        let counts = sender.finish().documents;
        let stored = counts.created + counts.updated + counts.unchanged;
        let failed = counts.failed;
        match self.json {
            true => writeln!(
                stdout(),
                "{}",
                json!({ "stored": stored, "failed": failed })
            )?,
            false => writeln!(stdout(), "{stored} documents stored, {failed} failed")?,
        }
        Ok(if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The collection as it is, or made with the settings of the export.
fn collection_with(
    index: &Index,
    name: &str,
    export: &ExportFile<fs_err::File>,
) -> Result<Arc<Collection>> {
    let mut encoder = CollectionEncoder::default_of(&export.head.encoder());
    if let Ok(existing) = index.collection(name) {
        encoder.name = existing.encoder().name.clone();
    }
    match index.put_collection_of(name, &export.head.settings()?, &encoder) {
        Ok((collection, _)) => Ok(collection),
        // What is stored keeps its settings; the passages come as they were made.
        Err(Error::SettingsConflict { .. }) => Ok(index.collection(name)?),
        Err(error @ Error::OtherEncoder { .. }) => Err(anyhow::Error::new(error)
            .context("import into a running service instead, which encodes the texts again")),
        Err(error) => Err(error.into()),
    }
}

/// Stores all documents of an export, a batch at a time, and returns how many were written.
fn store_all(
    mut export: ExportFile<fs_err::File>,
    bar: &ProgressBar,
    store: impl Fn(&[ImportedDocument]) -> Result<usize>,
) -> Result<usize> {
    let (mut writes, mut bytes, mut stored) = (Vec::new(), 0, 0);
    while let Some(document) = export.next()? {
        bytes += document.text_bytes();
        writes.push(document.with_vectors()?);
        if writes.len() >= MAX_WRITE_DOCUMENTS || bytes >= MAX_WRITE_BYTES {
            stored += store(&writes)?;
            (writes, bytes) = (Vec::new(), 0);
            bar.set_position(export.bytes());
        }
    }
    stored += store(&writes)?;
    bar.finish_and_clear();
    Ok(stored)
}
