//! What is remembered about the segments of a vector space between two runs.

use std::io;

use roaring::RoaringBitmap;

use crate::segments::{MAX_SEGMENTS, Manifest};
use crate::store::{ValueReader, ValueWriter};

/// The segments of a collection and what is alive in them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VectorManifest {
    pub(super) end: u32,
    /// Numbers of the files.
    pub(super) files: Vec<u64>,
    pub(crate) survivors: Survivors,
}

/// What is alive in segments.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Survivors {
    /// The collection's count of removed passages at that moment. While it is still the same, so is
    /// what is dead.
    pub(crate) removed_passages: u64,
    /// Passages in segments that count no more.
    pub(crate) dead: RoaringBitmap,
    /// First passages of the documents in segments that are alive.
    pub(crate) documents: RoaringBitmap,
}

impl Survivors {
    /// Returns whether they can be those of segments with these passages.
    pub(crate) fn are_among(&self, passages: &RoaringBitmap) -> bool {
        let Self {
            removed_passages: _,
            dead,
            documents,
        } = self;
        dead.is_subset(passages) && documents.is_subset(passages) && dead.is_disjoint(documents)
    }
}

impl Manifest for VectorManifest {
    const VERSION: u8 = 1;

    fn end(&self) -> u32 {
        self.end
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.files.iter().copied()
    }

    fn write(&self, writer: ValueWriter) -> io::Result<ValueWriter> {
        let mut writer = writer
            .u32(self.end)
            .u64(self.survivors.removed_passages)
            .u32(self.files.len() as u32);
        for file in &self.files {
            writer = writer.u64(*file);
        }
        for bitmap in [&self.survivors.dead, &self.survivors.documents] {
            let mut bytes = Vec::new();
            bitmap.serialize_into(&mut bytes)?;
            writer = writer.u32(bytes.len() as u32).raw(&bytes);
        }
        Ok(writer)
    }

    fn read(reader: &mut ValueReader<'_>) -> Option<Self> {
        let (end, removed_passages) = (reader.u32()?, reader.u64()?);
        let files = reader.u32().filter(|files| *files <= MAX_SEGMENTS)?;
        Some(Self {
            end,
            files: (0..files).map(|_| reader.u64()).collect::<Option<_>>()?,
            survivors: Survivors {
                removed_passages,
                dead: bitmap(reader)?,
                documents: bitmap(reader)?,
            },
        })
    }
}

fn bitmap(reader: &mut ValueReader<'_>) -> Option<RoaringBitmap> {
    let length = reader.u32()? as usize;
    RoaringBitmap::deserialize_from(reader.raw(length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_of_other_segments_are_told() {
        let passages: RoaringBitmap = (5..10).collect();
        let survivors = |dead: [u32; 1], documents: [u32; 1]| Survivors {
            removed_passages: 1,
            dead: dead.into(),
            documents: documents.into(),
        };
        assert!(survivors([5], [9]).are_among(&passages));
        assert!(!survivors([4], [9]).are_among(&passages));
        assert!(!survivors([5], [10]).are_among(&passages));
        assert!(!survivors([5], [5]).are_among(&passages));
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_not_when_damaged() {
        crate::segments::assert_only_whole_is_read(VectorManifest {
            end: 3,
            files: vec![2, u64::MAX],
            survivors: Survivors {
                removed_passages: 4,
                dead: (5..70_000).collect(),
                documents: RoaringBitmap::new(),
            },
        });
    }
}
