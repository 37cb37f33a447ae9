//! The choice of a device.

use candle_core::Device;

use crate::Error;

/// Where the forward pass should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePreference {
    /// A GPU when the binary was built for one and it is there, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The first NVIDIA GPU; needs the feature `cuda`.
    Cuda,
    /// The Apple GPU; needs the feature `metal`.
    Metal,
}

impl DevicePreference {
    pub(crate) fn open(self) -> Result<Device, Error> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0).map_err(|error| unavailable("cuda", &error)),
            Self::Metal => Device::new_metal(0).map_err(|error| unavailable("metal", &error)),
            Self::Auto => Ok(Device::new_cuda(0)
                .or_else(|_| Device::new_metal(0))
                .unwrap_or(Device::Cpu)),
        }
    }
}

fn unavailable(device: &'static str, error: &candle_core::Error) -> Error {
    let reason = error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    Error::DeviceUnavailable { device, reason }
}

/// The name of an open device.
pub(crate) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}
