//! Any CPU; also the reference that the others are checked against.

use super::{BitRows, DotKernels, exact};

/// Partial sums kept side by side, so that the compiler can use vector registers.
const LANES: usize = 16;

pub(crate) const KERNELS: DotKernels = DotKernels {
    dot: |left, right| dot(left, right),
    dot_codes: |left, right| dot_codes(left, right),
    dot_and_square: |left, right| exact::dot_and_square(left, right),
    dot_code_rows: |codes, rows, out| codes.each(rows, out, dot_codes),
    sums_where_set: |codes, bits, rows, out| sums_where_set(codes, bits, rows, out),
};

/// For each byte, codes that leave everything where a bit is set, and nothing where none is.
const MASKS: [[i8; 8]; 256] = {
    let mut masks = [[0; 8]; 256];
    let mut place = 0;
    while place < 8 * 256 {
        if (place / 8) & (1 << (place % 8)) != 0 {
            masks[place / 8][place % 8] = -1;
        }
        place += 1;
    }
    masks
};

pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (left_chunks, right_chunks) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = left_chunks.remainder().iter().zip(right_chunks.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    for (a, b) in left_chunks.zip(right_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

pub(crate) fn dot_codes(left: &[i8], right: &[i8]) -> i32 {
    let pairs = left.iter().zip(right);
    pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

fn sums_where_set(codes: &[i8], bits: &BitRows<'_>, rows: &[u32], out: &mut [i32]) {
    let (chunks, _) = codes.as_chunks::<8>();
    for (row, out) in rows.iter().zip(out) {
        let mut sums = [0_i32; 8];
        for (chunk, byte) in chunks.iter().zip(bits.row(*row, codes.len())) {
            let mask = &MASKS[usize::from(*byte)];
            for lane in 0..8 {
                sums[lane] += i32::from(chunk[lane] & mask[lane]);
            }
        }
        *out = sums.iter().sum();
    }
}
