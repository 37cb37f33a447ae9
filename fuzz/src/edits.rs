//! An input as changes of a valid file. Bytes at random are no segment and no snapshot; a valid one with some
//! numbers changed gets far.

/// Changes, 8 bytes each: what to do, where, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Edits<'a>(&'a [u8]);

/// One change.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    pub kind: u8,
    pub place: usize,
    pub value: u32,
}

impl<'a> Edits<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// One after the other; what is left of the input is none.
    pub fn iter(self) -> impl Iterator<Item = Edit> + 'a {
        let (edits, _) = self.0.as_chunks::<8>();
        edits.iter().map(|[kind, a, b, c, value @ ..]| Edit {
            kind: *kind,
            place: u32::from_le_bytes([*a, *b, *c, 0]) as usize,
            value: u32::from_le_bytes(*value),
        })
    }

    /// Makes all changes.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        self.iter().for_each(|edit| edit.apply(bytes));
    }
}

impl Edit {
    /// Makes the change at its place in the bytes, or in the rest that is there.
    pub fn apply(self, bytes: &mut Vec<u8>) {
        let place = self.place % (bytes.len() + 1);
        let mut put = |new: &[u8]| {
            for (to, from) in bytes[place..].iter_mut().zip(new) {
                *to = *from;
            }
        };
        match self.kind % 8 {
            0 => put(&[self.value as u8]),
            1 => put(&self.value.to_le_bytes()),
            2 => put(&self.value.to_be_bytes()),
            3 => put(&u64::from(self.value).to_le_bytes()),
            4 => put(&[0xff; 16][..self.value as usize % 17]),
            5 => put(&[0; 16][..self.value as usize % 17]),
            6 => bytes.truncate(place),
            _ => drop(bytes.splice(place..place, self.value.to_le_bytes())),
        }
    }
}
