//! Files of vectors in the formats of ann-benchmarks: `fvecs` and `ivecs`.
//!
//! Every row is its length (i32) and its values (f32 or i32), all little-endian.

use std::path::Path;

use anyhow::{Result, bail};

/// Rows of f32 values, all of one length.
pub(crate) fn read_fvecs(path: &Path) -> Result<Vec<Vec<f32>>> {
    rows(path, f32::from_le_bytes)
}

/// Rows of i32 values, all of one length.
pub(crate) fn read_ivecs(path: &Path) -> Result<Vec<Vec<i32>>> {
    rows(path, i32::from_le_bytes)
}

fn rows<T>(path: &Path, value: fn([u8; 4]) -> T) -> Result<Vec<Vec<T>>> {
    let bytes = fs_err::read(path)?;
    let (words, rest) = bytes.as_chunks::<4>();
    let Some(length) = words.first().map(|word| i32::from_le_bytes(*word)) else {
        bail!("{} is empty", path.display());
    };
    let width = usize::try_from(length).unwrap_or(0) + 1;
    if width == 1 || !rest.is_empty() || words.len() % width != 0 {
        bail!("{} does not hold rows of {length} values", path.display());
    }
    let rows = words.chunks_exact(width);
    if rows.clone().any(|row| i32::from_le_bytes(row[0]) != length) {
        bail!("{} holds rows of different lengths", path.display());
    }
    let values = |row: &[[u8; 4]]| row[1..].iter().map(|word| value(*word)).collect();
    Ok(rows.map(values).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[i32]) -> Result<Vec<Vec<i32>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.ivecs");
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        fs_err::write(&path, bytes).unwrap();
        read_ivecs(&path)
    }

    #[test]
    fn rows_are_read() {
        assert_eq!(read(&[2, 5, 6, 2, 7, 8]).unwrap(), [[5, 6], [7, 8]]);
    }

    #[test]
    fn files_that_are_empty_cut_short_or_uneven_are_refused() {
        for words in [&[][..], &[2, 5], &[0, 0], &[-1, 5], &[1, 5, 2, 6]] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
