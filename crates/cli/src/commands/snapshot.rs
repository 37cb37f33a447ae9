//! `siamese snapshot`: copies of the whole data folder, in one file each.

use std::io::{Read, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;
use siamese_index::{IndexOptions, SnapshotManifest, restore_snapshot, verify_snapshot};
use siamese_server::SnapshotContents;

use crate::client::{Address, Service};

/// Size of the pieces in which a download is written.
const PIECE_BYTES: usize = 256 << 10;

/// Take, list, check and restore snapshots of the whole data folder
#[derive(Debug, clap::Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Make a running service take a snapshot, while it goes on reading and writing
    Create {
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        address: Address,
    },
    /// List the snapshots of a running service
    List {
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        address: Address,
    },
    /// Copy a snapshot from a running service into a file
    Download {
        /// Its name, as listed
        #[arg(value_parser = snapshot_name)]
        name: String,
        /// Where to; without it, a file of the same name in this folder
        file: Option<PathBuf>,
        #[command(flatten)]
        address: Address,
    },
    /// Delete a snapshot of a running service
    Delete {
        /// Its name, as listed
        #[arg(value_parser = snapshot_name)]
        name: String,
        #[command(flatten)]
        address: Address,
    },
    /// Check every byte of a snapshot's file
    Verify {
        /// The file
        file: PathBuf,
        /// Print what is in it as JSON, as the service does
        #[arg(long)]
        json: bool,
    },
    /// Make a data folder of a snapshot, whole or not at all
    Restore {
        /// The snapshot's file
        file: PathBuf,
        /// An empty folder, or one that does not exist
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

/// The parts of a listed snapshot that people are shown.
#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    bytes: u64,
    contents: Option<ListedContents>,
    damage: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ListedContents {
    documents: u64,
    passages: u64,
    collections: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct List {
    snapshots: Vec<Listed>,
}

impl Snapshot {
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self.command {
            SnapshotCommand::Create { json, address } => {
                let created = Service::at(&address).create_snapshot()?;
                match json {
                    true => writeln!(stdout(), "{created}")?,
                    false => show(&serde_json::from_value(created)?)?,
                }
            }
            SnapshotCommand::List { json, address } => {
                list(Service::at(&address).snapshots()?, json)?;
            }
            SnapshotCommand::Download {
                name,
                file,
                address,
            } => download(&Service::at(&address), &name, file)?,
            SnapshotCommand::Delete { name, address } => {
                Service::at(&address).delete_snapshot(&name)?;
            }
            SnapshotCommand::Verify { file, json } => {
                let manifest = verify_snapshot(&file)?;
                if json {
                    let contents = serde_json::to_string(&SnapshotContents::from(manifest))?;
                    writeln!(stdout(), "{contents}")?;
                } else {
                    describe(&manifest, "is sound")?;
                }
            }
            SnapshotCommand::Restore { file, data } => {
                crate::private_files::keep_to_this_user();
                let manifest = restore_snapshot(&file, &data, &IndexOptions::default())?;
                describe(&manifest, &format!("restored into {}", data.display()))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(snapshots: Value, as_json: bool) -> Result<()> {
    if as_json {
        writeln!(stdout(), "{snapshots}")?;
        return Ok(());
    }
    let list: List = serde_json::from_value(snapshots)?;
    list.snapshots.iter().try_for_each(show)
}

fn show(snapshot: &Listed) -> Result<()> {
    let Listed { name, bytes, .. } = snapshot;
    match (&snapshot.contents, &snapshot.damage) {
        (Some(contents), _) => writeln!(
            stdout(),
            "{name}  {bytes} bytes, {} documents and {} passages in {} collections",
            contents.documents,
            contents.passages,
            contents.collections.len()
        )?,
        (None, damage) => {
            let damage = damage.as_deref().unwrap_or("it cannot be read");
            writeln!(stdout(), "{name}  {bytes} bytes, DAMAGED: {damage}")?;
        }
    }
    Ok(())
}

fn describe(manifest: &SnapshotManifest, what: &str) -> Result<()> {
    writeln!(
        stdout(),
        "{what}: {} documents and {} passages in {} collections, made by {} ({})",
        manifest.documents(),
        manifest.passages(),
        manifest.collections.len(),
        manifest.encoder.name,
        manifest.encoder.id
    )?;
    Ok(())
}

/// The file gets its name when all of it has arrived and its checksums are right.
fn download(service: &Service, name: &str, file: Option<PathBuf>) -> Result<()> {
    let file = file.unwrap_or_else(|| PathBuf::from(name));
    if file.exists() {
        bail!("{} exists already", file.display());
    }
    let folder = file
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| std::path::Path::new("."));
    let mut arriving = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("cannot write into {}", folder.display()))?;
    let mut body = service.download_snapshot(name)?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = body
            .read(&mut piece)
            .context("the download was interrupted")?;
        if bytes == 0 {
            break;
        }
        arriving.write_all(&piece[..bytes])?;
    }
    arriving.as_file().sync_all()?;
    let manifest = verify_snapshot(arriving.path())?;
    arriving.persist_noclobber(&file)?;
    describe(&manifest, &format!("downloaded into {}", file.display()))
}

fn snapshot_name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(
            "a snapshot's name has letters, digits, '-', '_' and '.'; see: siamese snapshot list"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshots_name_cannot_change_the_path() {
        assert!(snapshot_name("2026-01-31T08-15-30.250Z.snapshot").is_ok());
        for name in ["", "a/b", "a?b", "%2e%2e"] {
            assert!(snapshot_name(name).is_err(), "{name}");
        }
    }
}
