//! Buffers that begin at a cache line, so that no register-wide load crosses one.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest register.
const LINE_BYTES: usize = 64;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

/// Numbers whose every bit pattern is valid. No one outside this crate can name it, and so add others.
pub trait Number: Copy + Default + 'static {}
impl Number for f32 {}
impl Number for u16 {}
impl Number for i8 {}
impl Number for i32 {}
impl Number for u8 {}

/// A slice of numbers on the heap that begins at a cache line.
#[derive(Debug, Default)]
pub struct AlignedVec<T> {
    lines: Vec<Line>,
    length: usize,
    number: std::marker::PhantomData<T>,
}

impl<T: Number> AlignedVec<T> {
    /// `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let lines = (length * size_of::<T>()).div_ceil(LINE_BYTES);
        Self {
            lines: vec![Line([0; LINE_BYTES]); lines],
            length,
            number: std::marker::PhantomData,
        }
    }

    /// Makes room for at least `length` values; what they are is not said.
    pub fn reserve(&mut self, length: usize) {
        if length > self.length {
            *self = Self::zeros(length);
        }
    }
}

impl<T: Number> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold `length` numbers, are aligned for them and initialised, and any
        // bits are a valid `Number`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl<T: Number> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
