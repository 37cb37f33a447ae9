//! What configurations say of rotations.

use serde::Deserialize;

use super::config::unsupported;
use crate::Error;
use crate::backbones::architecture::Rotation;

/// An entry of `rope_parameters`, or what older configurations call `rope_scaling`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Rope {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f32>,
    factor: Option<f32>,
}

impl Rope {
    /// The base of rotations, which must be plain ones.
    ///
    /// # Errors
    /// When they are of another type.
    pub(super) fn base(rope: Option<&Self>, default: f32) -> Result<f32, Error> {
        let Rotation { base, slowdown } = Self::rotation(rope, default)?;
        match slowdown == 1.0 {
            true => Ok(base),
            false => Err(unsupported("rope_type", "linear")),
        }
    }

    /// Rotations that are plain or slower by a factor.
    ///
    /// # Errors
    /// When they are of another type.
    pub(super) fn rotation(rope: Option<&Self>, default: f32) -> Result<Rotation, Error> {
        let base = rope.and_then(|rope| rope.rope_theta).unwrap_or(default);
        let kind = rope.and_then(|rope| rope.rope_type.as_deref());
        match (kind, rope.and_then(|rope| rope.factor)) {
            (None | Some("default"), None) => Ok(Rotation::of_base(base)),
            (Some("linear"), Some(slowdown)) => Ok(Rotation { base, slowdown }),
            (other, _) => Err(unsupported("rope_type", other.unwrap_or("with a factor"))),
        }
    }
}
