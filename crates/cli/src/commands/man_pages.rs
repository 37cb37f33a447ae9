//! `siamese man-pages`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::Arguments;

/// Write a manual page for each command into a folder
///
/// Where `man` finds them: siamese man-pages ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
pub(crate) struct ManPages {
    /// The folder; it is made if it is not there
    folder: PathBuf,
}

impl ManPages {
    pub(crate) fn run(self) -> Result<ExitCode> {
        fs_err::create_dir_all(&self.folder)?;
        clap_mangen::generate_to(Arguments::command(), &self.folder)
            .with_context(|| format!("cannot write into {}", self.folder.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_people_see_has_a_page_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("share/man1");
        let command = ManPages {
            folder: pages.clone(),
        };
        command.run().unwrap();

        let key_create = fs_err::read_to_string(pages.join("siamese-key-create.1")).unwrap();
        assert!(key_create.contains("siamese-key-create"), "{key_create}");
        for command in Arguments::command().get_subcommands() {
            let page = pages.join(format!("siamese-{}.1", command.get_name()));
            assert_eq!(page.exists(), !command.is_hide_set(), "{}", page.display());
        }
    }
}
