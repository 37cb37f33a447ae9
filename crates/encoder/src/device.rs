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
            Self::Cuda => gpu("cuda", cfg!(feature = "cuda"), Device::new_cuda),
            Self::Metal => gpu("metal", cfg!(feature = "metal"), Device::new_metal),
            Self::Auto => Ok(best()),
        }
    }
}

/// The first GPU that the binary was built for and that is there, else the CPU.
fn best() -> Device {
    let built = [
        (DevicePreference::Cuda, cfg!(feature = "cuda")),
        (DevicePreference::Metal, cfg!(feature = "metal")),
    ];
    let built = built.into_iter().filter(|(_, is_built)| *is_built);
    for (preference, _) in built {
        match preference.open() {
            Ok(device) => return device,
            // Whoever built for a GPU expects it to be used.
            Err(error) => {
                tracing::warn!(%error, "no GPU can be used, so the model runs on the CPU")
            }
        }
    }
    Device::Cpu
}

/// The first GPU of a kind.
fn gpu(
    device: &'static str,
    is_built: bool,
    open: fn(usize) -> candle_core::Result<Device>,
) -> Result<Device, Error> {
    let unavailable = |reason| Error::DeviceUnavailable { device, reason };
    if !is_built {
        let reason = format!("this binary was built without the feature {device:?}");
        return Err(unavailable(reason));
    }
    open(0).map_err(|error| {
        // What follows the first line is a backtrace.
        let error = error.to_string();
        unavailable(error.lines().next().unwrap_or_default().to_owned())
    })
}

/// The name of an open device.
pub(crate) fn name(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    fn a_device_that_the_binary_was_not_built_for_is_refused_by_name_and_never_chosen() {
        for (preference, name) in [
            (DevicePreference::Cuda, "cuda"),
            (DevicePreference::Metal, "metal"),
        ] {
            assert_eq!(
                preference.open().unwrap_err().to_string(),
                format!(
                    "the device {name:?} is not available: this binary was built without the feature {name:?}"
                )
            );
        }
        assert!(DevicePreference::Auto.open().unwrap().is_cpu());
    }

    #[test]
    fn a_gpu_that_does_not_open_is_refused_with_the_first_line_of_the_reason() {
        let open = |_| candle_core::bail!("no driver\nbacktrace");
        let error = gpu("cuda", true, open).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the device \"cuda\" is not available: no driver"
        );
    }
}
