//! Files of version 1, which had the steps of codes where sketches are: they are written anew, since nothing that a
//! sketch is made of is missing, and a graph takes much longer to build.

use std::path::Path;

use super::header::{Damage, HEADER_BYTES, Header};
use super::layout::Layout;
use super::mapped_file::MappedFile;
use super::writer::{Body, replace};
use crate::vectors::code_matrix::LINE_BYTES;
use crate::vectors::sketch::{self, Sketcher};

/// What a version 1 begins with.
const VERSION: u8 = 1;

/// Puts a file of this version in the place of one of version 1.
///
/// # Errors
/// It is not of version 1 or damaged, or cannot be written.
pub(super) fn upgrade(path: &Path) -> Result<(), Damage> {
    let file = MappedFile::open(path)?;
    let header = Header::read_version(file.bytes(), VERSION)?;
    let old = OldFile::new(file.bytes(), &header)?;
    replace(path, header, |body| old.write_into(body))?;
    tracing::info!(path = %path.display(), "a segment of an older version was written anew");
    Ok(())
}

/// The parts of a file of version 1. Before and behind the steps is what this version has, too.
struct OldFile<'a> {
    header: &'a Header,
    before: &'a [u8],
    steps: &'a [f32],
    behind: &'a [u8],
    vectors: &'a [f32],
}

impl<'a> OldFile<'a> {
    fn new(bytes: &'a [u8], header: &'a Header) -> Result<Self, Damage> {
        let layout = Layout::of(header);
        let start = layout.sketches.start;
        let steps = header.rows() * size_of::<f32>();
        let behind = start.saturating_add(steps.next_multiple_of(LINE_BYTES));
        let bytes_behind = layout.centre.start - layout.passages.start;
        header.check_body(bytes, behind.saturating_add(bytes_behind))?;
        let (before, rest) = bytes.split_at(start);
        let behind = &bytes[behind..];
        let vectors = layout.vectors.start - layout.passages.start;
        let vectors = &behind[vectors..][..layout.vectors.len()];
        Ok(Self {
            header,
            before: &before[HEADER_BYTES..],
            steps: bytemuck::cast_slice(&rest[..steps]),
            behind,
            vectors: bytemuck::cast_slice(vectors),
        })
    }

    /// Vectors in the order of rows.
    fn vectors(&self) -> impl Iterator<Item = &'a [f32]> {
        let dimensions = self.header.dimensions as usize;
        let rows = self
            .vectors
            .chunks_exact(self.header.vector_stride().max(1));
        rows.map(move |row| &row[..dimensions])
    }

    fn write_into(&self, body: &mut Body<'_>) -> std::io::Result<()> {
        body.put(self.before)?;
        let centre = sketch::centre(self.vectors(), self.header.dimensions as usize);
        let sketcher = Sketcher::new(&centre);
        for (vector, step) in self.vectors().zip(self.steps) {
            body.put(&sketcher.sketch(vector, *step))?;
        }
        body.put(self.behind)?;
        body.words(&centre)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphSettings, SingleSegment};

    /// What version 1 was of the same content.
    fn of_version_1(bytes: &[u8]) -> Vec<u8> {
        let mut header = Header::read(bytes).unwrap();
        let layout = Layout::of(&header);
        let stride = sketch::stride(header.dimensions as usize);
        let mut old = bytes[..layout.sketches.start].to_vec();
        for sketch in bytes[layout.sketches.clone()].chunks_exact(stride) {
            // The last of four numbers.
            old.extend_from_slice(&sketch[12..16]);
        }
        old.resize(old.len().next_multiple_of(LINE_BYTES), 0);
        old.extend_from_slice(&bytes[layout.passages.start..layout.centre.start]);
        header.body_checksum = crc32fast::hash(&old[HEADER_BYTES..]);
        old[..HEADER_BYTES].copy_from_slice(&header.bytes_of_version(VERSION));
        old
    }

    #[test]
    fn a_file_of_version_1_becomes_what_it_would_be_today_and_a_damaged_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.segment");
        let value = |row: usize, place: usize| ((row * 31 + place * 17) % 101) as f32 - 50.0;
        for (rows, dimensions) in [(1, 1), (300, 20), (50, 80)] {
            let vectors =
                (0..rows).map(|row| (0..dimensions).map(|place| value(row, place)).collect());
            let vectors: Vec<Vec<f32>> = vectors.collect();
            SingleSegment::build(&path, &vectors, GraphSettings::default(), 1).unwrap();
            let today = fs_err::read(&path).unwrap();
            let mut old = of_version_1(&today);
            fs_err::write(&path, &old).unwrap();
            upgrade(&path).unwrap();
            // The centre is a mean in another order: its last digits, and those of what is made of it, may differ.
            let upgraded = fs_err::read(&path).unwrap();
            assert_eq!(upgraded.len(), today.len());
            let segment = SingleSegment::open(&path).unwrap();
            let query = crate::VectorQuery {
                vector: &vectors[0],
                limit: 1,
                ef: 64,
                widens: false,
                exact: false,
                allowed: None,
            };
            assert!(segment.search(&query)[0].1 > 0.999);
            *old.last_mut().unwrap() ^= 1;
            fs_err::write(&path, &old).unwrap();
            assert!(matches!(upgrade(&path), Err(Damage::Checksum)));
            assert_eq!(fs_err::read(&path).unwrap(), old);
        }
    }

    #[test]
    fn what_is_no_segment_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.segment");
        for bytes in [&b""[..], &[1; 500]] {
            fs_err::write(&path, bytes).unwrap();
            assert!(matches!(upgrade(&path), Err(Damage::Header)) || bytes.is_empty());
            assert_eq!(fs_err::read(&path).unwrap(), bytes);
        }
    }
}
