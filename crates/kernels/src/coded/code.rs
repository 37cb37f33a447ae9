//! What a code is, and how many there are in a group.

/// Bytes that are multiplied in one step.
pub(super) const GROUP_BYTES: usize = 4;

/// Steps of depth whose products of 16-bit codes are added up in 32 bits, exactly.
pub(super) const INT16_BLOCK: usize = 192;

/// Values of a row, or steps of a column, that share a scale of 8-bit codes and are mixed with each other.
pub(super) const INT8_BLOCK: usize = 128;

/// What a code is.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "other CPUs have no products of codes yet")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// 8 bits with a scale.
    Int8,
    /// 16 bits with a scale.
    Int16,
    /// The upper half of an f32.
    Bf16,
}

impl Code {
    /// Codes of a group.
    pub(super) fn per_group(self) -> usize {
        match self {
            Self::Int8 => 4,
            Self::Int16 | Self::Bf16 => 2,
        }
    }

    /// So many codes, filled up to whole blocks or groups.
    fn filled_up(self, width: usize) -> usize {
        match self {
            Self::Int8 => width.next_multiple_of(INT8_BLOCK),
            Self::Int16 | Self::Bf16 => width.next_multiple_of(self.per_group()),
        }
    }

    /// Groups of `width` codes.
    pub(super) fn groups(self, width: usize) -> usize {
        self.filled_up(width) / self.per_group()
    }

    /// Bytes of `width` codes.
    pub(super) fn bytes(self, width: usize) -> usize {
        self.groups(width) * GROUP_BYTES
    }

    /// Scales of a row of `width` codes.
    pub(super) fn scales(self, width: usize) -> usize {
        match self {
            Self::Int8 => width.div_ceil(INT8_BLOCK),
            Self::Int16 => width.div_ceil(INT16_BLOCK),
            Self::Bf16 => 1,
        }
    }

    /// Scales of a column of `depth` codes.
    pub(super) fn column_scales(self, depth: usize) -> usize {
        match self {
            Self::Int8 => self.scales(depth),
            Self::Int16 | Self::Bf16 => 1,
        }
    }
}
