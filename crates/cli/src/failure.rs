//! How a failed command ends: one sentence on standard error, exit code 1.

use std::io::ErrorKind;
use std::process::ExitCode;

/// Prints the error. Output that nobody reads any more (`siamese search .. | head`) is no error.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let reader_left = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe);
    if reader_left {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {}", sentence(error));
    ExitCode::FAILURE
}

/// The error and its causes on one line, without a cause that the error has said already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words: Vec<_> = cause
            .to_string()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let words = words.join(" ");
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn causes_follow_on_the_same_line_and_are_not_said_twice() {
        let error = anyhow!("disk\nfull")
            .context("cannot write: disk full")
            .context("no model");
        assert_eq!(sentence(&error), "no model: cannot write: disk full");
    }
}
