//! What a product multiplies.

/// How weights are kept, and what is multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32, as in the model.
    #[default]
    F32,
    /// 16-bit codes: half the memory, products in half the time, and vectors with a cosine of
    /// 0.999999 and more to those of f32. With AVX2 or AVX-512; elsewhere as [`Self::F32`].
    Int16,
    /// bfloat16: half the memory, eight significant bits. Multiplied with AVX-512 BF16; elsewhere
    /// as [`Self::Int16`] or, if that is not possible, widened.
    Bf16,
    /// 8-bit codes: a quarter of the memory, and vectors with a cosine of 0.999 and more to those of f32, with the
    /// default model. With AVX-512 VNNI; elsewhere as [`Self::Bf16`].
    Int8,
}
