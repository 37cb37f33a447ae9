//! `siamese completions`

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use super::Arguments;

/// Print a script by which a shell completes commands and flags
///
/// For bash: siamese completions bash > ~/.local/share/bash-completion/completions/siamese
///
/// For zsh: siamese completions zsh > DIR/_siamese, where DIR is one of $fpath
///
/// For fish: siamese completions fish > ~/.config/fish/completions/siamese.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell that is to complete them
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<ExitCode> {
        // Into memory first: the generator panics when nobody reads its output to the end.
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut Arguments::command(),
            "siamese",
            &mut script,
        );
        stdout().lock().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "siamese", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in ["serve", "ingest", "healthcheck"] {
                assert!(script.contains(command), "{shell} does not know {command}");
            }
        }
    }
}
