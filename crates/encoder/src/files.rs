//! Reading files of a model folder, with errors that name them.

use std::io::ErrorKind;
use std::path::Path;

use fs_err::File;
use serde::de::DeserializeOwned;

use crate::Error;

/// The bytes of a file that must be there.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_if_present(path)?.ok_or_else(|| Error::MissingFile {
        path: path.to_owned(),
    })
}

/// A file that must be there, opened.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::MissingFile {
            path: path.to_owned(),
        },
        _ => error.into(),
    })
}

/// A JSON file that must be there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    parse(path, &read(path)?)
}

/// A JSON file that older or simpler models lack.
pub(crate) fn read_json_if_present<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    read_if_present(path)?
        .map(|bytes| parse(path, &bytes))
        .transpose()
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::damaged(path, error))
}
