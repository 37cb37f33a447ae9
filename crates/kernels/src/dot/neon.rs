//! NEON: 4 values or 16 codes at a time.

use std::arch::aarch64::*;

use super::{BitRows, CodeRows, DotKernels, exact, portable};

const LANES: usize = 4;
const CODES: usize = 16;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot,
    dot_codes,
    dot_and_square: |left, right| exact::dot_and_square(left, right),
    dot_code_rows,
    sums_where_set,
};

/// # Safety
/// The CPU must have NEON.
#[target_feature(enable = "neon")]
unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left_chunks, left_rest) = left.as_chunks::<{ 4 * LANES }>();
    let (right_chunks, right_rest) = right.as_chunks::<{ 4 * LANES }>();
    let mut sums = [vdupq_n_f32(0.0); 4];
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        for (quarter, sum) in sums.iter_mut().enumerate() {
            // SAFETY: both arrays hold four registers of values.
            let (a, b) = unsafe {
                (
                    vld1q_f32(a.as_ptr().add(quarter * LANES)),
                    vld1q_f32(b.as_ptr().add(quarter * LANES)),
                )
            };
            *sum = vfmaq_f32(*sum, a, b);
        }
    }
    let sum = vaddq_f32(vaddq_f32(sums[0], sums[1]), vaddq_f32(sums[2], sums[3]));
    vaddvq_f32(sum) + portable::dot(left_rest, right_rest)
}

/// # Safety
/// The CPU must have NEON.
#[target_feature(enable = "neon")]
unsafe fn dot_codes(left: &[i8], right: &[i8]) -> i32 {
    let (left_chunks, left_rest) = left.as_chunks::<CODES>();
    let (right_chunks, right_rest) = right.as_chunks::<CODES>();
    let mut sum = vdupq_n_s32(0);
    for (a, b) in left_chunks.iter().zip(right_chunks) {
        // SAFETY: both arrays hold one register of codes.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        let low = vmull_s8(vget_low_s8(a), vget_low_s8(b));
        let high = vmull_high_s8(a, b);
        sum = vpadalq_s16(vpadalq_s16(sum, low), high);
    }
    vaddvq_s32(sum) + portable::dot_codes(left_rest, right_rest)
}

/// # Safety
/// The CPU must have NEON.
#[target_feature(enable = "neon")]
unsafe fn dot_code_rows(codes: &CodeRows<'_>, rows: &[u32], out: &mut [i32]) {
    // SAFETY: the caller vouches for the instructions.
    codes.each(rows, out, |query, row| unsafe { dot_codes(query, row) });
}

/// # Safety
/// The CPU must have NEON.
#[target_feature(enable = "neon")]
unsafe fn sums_where_set(codes: &[i8], bits: &BitRows<'_>, rows: &[u32], out: &mut [i32]) {
    const BIT: [u8; CODES] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
    let (chunks, _) = codes.as_chunks::<CODES>();
    // SAFETY: the array holds one register.
    let bit = unsafe { vld1q_u8(BIT.as_ptr()) };
    for (row, out) in rows.iter().zip(out) {
        let (row, _) = bits.row(*row, codes.len()).as_chunks::<{ CODES / 8 }>();
        let mut sum = vdupq_n_s32(0);
        for (chunk, [low, high]) in chunks.iter().zip(row) {
            let set = vtstq_u8(vcombine_u8(vdup_n_u8(*low), vdup_n_u8(*high)), bit);
            // SAFETY: the array holds one register of codes.
            let chunk = unsafe { vld1q_s8(chunk.as_ptr()) };
            let chunk = vandq_s8(chunk, vreinterpretq_s8_u8(set));
            sum = vpadalq_s16(sum, vpaddlq_s8(chunk));
        }
        *out = vaddvq_s32(sum);
    }
}
