//! What a command may be told about the files that it reads.

use std::path::PathBuf;

use encoding_rs::Encoding;

use super::Format;

/// How files are read, the same for every command that reads some.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "How files are read")]
pub(crate) struct ReadOptions {
    /// Column or key that holds the text; `text`, `body`, `content` or `question` where it is missing.
    /// Several may be given, best first, here and below
    #[arg(long, value_name = "NAME")]
    pub(crate) text_field: Vec<String>,
    /// Column or key that holds the id; `id` or `_id` where it is missing
    #[arg(long, value_name = "NAME")]
    pub(crate) id_field: Vec<String>,
    /// Column or key that holds the title; `title` where it is missing
    #[arg(long, value_name = "NAME")]
    pub(crate) title_field: Vec<String>,
    /// Separator of CSV files, such as `;` or `tab`; recognised when absent
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// Encoding of files that are not UTF-8, such as `windows-1252`
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub(crate) encoding: Option<&'static Encoding>,
    /// How named files and standard input are read, whatever their names end in
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Folder that the paths in ids are relative to; the current one when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) relative_to: Option<PathBuf>,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        "\"" | "\n" | "\r" => Err("quotes and line ends cannot separate columns".to_owned()),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() => Ok(*byte),
            _ => Err("give one ASCII character, or `tab`".to_owned()),
        },
    }
}

fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes())
        .filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
        .ok_or_else(|| {
            "not the name of an encoding of the web, such as windows-1252, shift_jis or utf-16le"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_one_character_and_no_quote() {
        assert_eq!(delimiter(";"), Ok(b';'));
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        for text in ["", ";;", "\"", "é"] {
            assert!(delimiter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn encodings_have_the_names_of_the_web() {
        assert_eq!(encoding("latin1"), Ok(encoding_rs::WINDOWS_1252));
        assert!(encoding("klingon").is_err());
    }
}
