//! How much memory this process has.

/// Memory of the machine that the process takes now, bytes, files that it has mapped included; nothing where that cannot
/// be told.
#[cfg(target_os = "linux")]
#[expect(
    clippy::disallowed_methods,
    reason = "what the kernel says of the process is no file that anyone asks for"
)]
pub(crate) fn resident_bytes() -> Option<u64> {
    resident_pages(&std::fs::read_to_string("/proc/self/statm").ok()?)
        .map(|pages| pages * rustix::param::page_size() as u64)
}

/// Memory of the machine that the process takes now, which only Linux says so.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident_bytes() -> Option<u64> {
    None
}

/// The second number of `/proc/self/statm`.
#[cfg(target_os = "linux")]
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_test_takes_between_a_megabyte_and_a_terabyte() {
        let bytes = resident_bytes().unwrap();
        assert!((1 << 20..1 << 40).contains(&bytes), "{bytes}");
        assert_eq!(resident_pages("12345 678 90 1 0 2 0\n"), Some(678));
        assert_eq!(resident_pages(""), None);
    }
}
