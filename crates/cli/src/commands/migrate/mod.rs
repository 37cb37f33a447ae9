//! `siamese migrate`

mod comparison;
mod copying;
mod held;
mod place;
mod report;
mod sample;

use std::process::ExitCode;

use anyhow::Result;

use self::held::Held;
use self::place::{Place, PlaceName};
use self::report::{CollectionReport, Report};
use self::sample::Sample;
use crate::sender::progress;

/// Move all collections between a data folder and a cluster, without encoding anything
///
/// A place is a data folder, whose service must not be running; addresses of a cluster's nodes
/// (`http://node-1:6334,http://node-2:6334`), with the other settings of [storage.qdrant] as the environment has them; or a
/// settings file (`.toml`) that has them all. Documents go with their vectors and times; what is there already is left as it is,
/// so that a move that was interrupted is simply started again. At the end documents and passages are counted on both sides,
/// and a sample of the documents is compared with their vectors. What was moved stays where it was.
#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// Where the collections are
    #[arg(long, value_name = "PLACE")]
    from: PlaceName,
    /// Where they are to be as well
    #[arg(long, value_name = "PLACE")]
    to: PlaceName,
    /// Documents of each collection that are compared at the end, with their vectors; 0 for none
    #[arg(long, value_name = "DOCUMENTS", default_value_t = 1000)]
    sample: usize,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub(crate) fn run(self) -> Result<ExitCode> {
        crate::private_files::keep_to_this_user();
        let from = Place::open_source(&self.from)?;
        let to = Place::open_target(&self.to, &from)?;
        let mut report = Report::default();
        for collection in from.collections() {
            let generations = from.other_generations(&collection)?;
            report.note(collection.what_stays(generations, to.is_cluster())?);
            report.collections.push(self.migrate(&collection, &to)?);
        }
        for alias in from.aliases() {
            to.put_alias(&alias)?;
            report.aliases += 1;
        }
        report.print(self.json)
    }

    fn migrate(&self, from: &Held, to: &Place) -> Result<CollectionReport> {
        let target = to.put(from)?;
        let counts = from.counts()?;
        let bar = progress(counts.documents);
        bar.set_message(from.name().to_owned());
        let mut sample = Sample::new(self.sample);
        let written = copying::copy(from, &target, &mut sample, &bar)?;
        bar.finish_and_clear();
        Ok(CollectionReport {
            name: from.name().to_owned(),
            written,
            source: from.counts()?,
            target: target.counts()?,
            compared: sample.len(),
            differences: comparison::differences(from, &target, &sample)?,
        })
    }
}
