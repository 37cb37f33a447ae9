//! Keeping what this program stores from other users of the machine.

/// New files and folders of this process are for its user alone, whoever makes them: sled and tantivy,
/// too. To be called before any thread is started and any of them is made.
///
/// Not for what others are meant to read, as models are.
pub(crate) fn keep_to_this_user() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}
