//! The kernels of each instruction set, and which of them this CPU can run.

use super::{CodedTable, Kernels, LayerNorm};
#[cfg(target_arch = "x86_64")]
use crate::coded;
use crate::dot;
use crate::rows::{self, Activation};
use crate::simd::{self, Simd};
use crate::tile::{self, Tile, Weight};

/// What this CPU can run of AVX-512 and AVX2, each with the products that its extensions allow.
#[cfg(target_arch = "x86_64")]
pub(super) fn native() -> Vec<Kernels> {
    use coded::{bf16_avx512, int8_avx512, int16};
    let mut kernels = Vec::new();
    if is_x86_feature_detected!("avx512f") {
        let has_words = is_x86_feature_detected!("avx512bw");
        let has_vnni = has_words && is_x86_feature_detected!("avx512vnni");
        let has_bf16 = is_x86_feature_detected!("avx512bf16");
        let int16 = match (has_vnni, has_words) {
            (true, _) => Some(&int16::avx512_vnni::KERNELS),
            (_, true) => Some(&int16::avx512::KERNELS),
            _ => None,
        };
        let (bf16, int8) = (&bf16_avx512::KERNELS, &int8_avx512::KERNELS);
        kernels.push(Kernels {
            dots: if has_vnni {
                dot::avx512::KERNELS
            } else {
                dot::avx2::KERNELS
            },
            coded: CodedTable {
                int16,
                bf16: has_bf16.then_some(bf16).or(int16),
                int8: has_vnni.then_some(int8).or(int16),
            },
            ..avx512::KERNELS
        });
    }
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        let int16 = Some(&int16::avx2::KERNELS);
        kernels.push(Kernels {
            dots: dot::avx2::KERNELS,
            coded: CodedTable {
                int16,
                bf16: int16,
                int8: int16,
            },
            ..avx2::KERNELS
        });
    }
    kernels
}

/// Every CPU of this architecture has NEON.
#[cfg(target_arch = "aarch64")]
pub(super) fn native() -> Vec<Kernels> {
    vec![Kernels {
        dots: dot::neon::KERNELS,
        ..neon::KERNELS
    }]
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn native() -> Vec<Kernels> {
    Vec::new()
}

/// What every CPU can run.
pub(super) fn portable() -> Kernels {
    portable::KERNELS
}

/// Compiles the kernels for one instruction set: its [`Simd`], registers of a panel, rows of a
/// tile, and the features to enable.
macro_rules! compile {
    ($module:ident, $simd:ty, $vectors:literal, [$($rows:literal)+] $(, $feature:literal)?) => {
        mod $module {
            use super::*;

            type S = $simd;

            // SAFETY of all: the table is handed out only where the CPU has the features.
            $(#[target_feature(enable = $feature)])?
            unsafe fn tile<B: Weight, const ROWS: usize, const VECTORS: usize>(tile: &Tile<B>) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { tile::product::<S, B, ROWS, VECTORS>(tile) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn activate(values: *mut f32, width: usize, activation: Activation) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::activate::<S>(values, width, activation) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn gate(
                values: *mut f32,
                gates: *const f32,
                width: usize,
                activation: Activation,
            ) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::gate::<S>(values, gates, width, activation) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn softmax(scores: *mut f32, width: usize) -> f32 {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::softmax::<S>(scores, width) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn layer_norm(row: *mut f32, width: usize, norm: &LayerNorm) {
                let (gain, shift) = (norm.gain.as_ptr(), norm.shift.as_ptr());
                let kind = (norm.epsilon, norm.centred);
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::layer_norm::<S>(row, width, norm.features, gain, shift, kind) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn scale(row: *mut f32, factor: f32, width: usize) {
                // SAFETY: see above, and the caller vouches for the pointers.
                unsafe { rows::scale::<S>(row, factor, width) }
            }

            pub(super) const KERNELS: Kernels = Kernels {
                name: stringify!($module),
                lanes: S::LANES,
                panel: S::LANES * $vectors,
                panels: &[$(tile::<f32, $rows, $vectors>),+],
                narrow_panels: &[$(tile::<u16, $rows, $vectors>),+],
                strips: &[$(tile::<f32, $rows, 1>),+],
                activate,
                gate,
                softmax,
                layer_norm,
                scale,
                dots: dot::portable::KERNELS,
                coded: CodedTable::NONE,
            };
        }
    };
}

// A tile's sums, a row of the panel and one value of the left matrix fill the registers.
#[cfg(target_arch = "x86_64")]
compile!(avx512, simd::Avx512, 2, [1 2 3 4 5 6 7 8 9 10 11 12 13 14], "avx512f");
#[cfg(target_arch = "x86_64")]
compile!(avx2, simd::Avx2, 2, [1 2 3 4 5 6], "avx2,fma");
#[cfg(target_arch = "aarch64")]
compile!(neon, simd::Neon, 4, [1 2 3 4 5 6]);
compile!(portable, simd::Portable, 2, [1 2 3 4 5 6]);
