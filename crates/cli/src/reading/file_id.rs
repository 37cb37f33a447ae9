//! What a file is called in ids: its path, the way `tar` names its members.
//!
//! The path is relative to the current folder, or absolute without its leading slash when the file
//! is elsewhere. So no two files of a run have one name, and it does not matter how the file or its
//! folder was spelled: `notes`, `./notes/`, the absolute path.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::seen_ids::hash;

/// Bytes of an id that the service takes.
const MAX_ID_BYTES: usize = siamese_index::MAX_ID_BYTES;

/// Names files.
#[derive(Debug)]
pub(super) struct FileIds {
    /// What relative paths start from.
    current: PathBuf,
    /// What the names are relative to.
    base: PathBuf,
}

impl FileIds {
    /// Names relative to `base`, or to the current folder.
    ///
    /// # Errors
    /// When there is no current folder any more.
    pub(super) fn new(base: Option<&Path>) -> std::io::Result<Self> {
        let current = std::env::current_dir()?;
        let base = tidy(base.unwrap_or(&current), &current);
        Ok(Self { current, base })
    }

    /// What the file at `path` is called.
    pub(super) fn of(&self, path: &Path) -> String {
        let path = tidy(path, &self.current);
        match path.strip_prefix(&self.base) {
            Ok(within) => joined(within),
            Err(_) => joined(&self.within_by_links(&path).unwrap_or(path)),
        }
    }

    /// The path within the base when links are followed: a shell says `/tmp/a` where the system
    /// says `/private/tmp/a`.
    fn within_by_links(&self, path: &Path) -> Option<PathBuf> {
        let (path, base) = (path.canonicalize().ok()?, self.base.canonicalize().ok()?);
        path.strip_prefix(base).ok().map(Path::to_owned)
    }
}

/// The normal parts of a path, with slashes on every system.
fn joined(path: &Path) -> String {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(readable(part)),
            Component::Prefix(prefix) => parts.push(readable(prefix.as_os_str())),
            Component::RootDir | Component::CurDir | Component::ParentDir => {}
        }
    }
    parts.join("/")
}

/// A name as text. Bytes that are not UTF-8 become `%FF`, so that two names stay two.
fn readable(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// An absolute path without `.` and `..`. Symbolic links stay: a file is called what people call it.
fn tidy(path: &Path, current: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in current.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            other => tidy.push(other),
        }
    }
    tidy
}

/// The id of a part of a file, or of all of it when `part` is empty. A path that is too long for an
/// id gives its beginning up, and a hash of it stands there.
pub(super) fn with_part(file: &str, part: &str) -> String {
    if file.len() + part.len() <= MAX_ID_BYTES {
        return format!("{file}{part}");
    }
    let hash = format!("{:016x}~", hash(&[file]));
    let room = MAX_ID_BYTES.saturating_sub(hash.len() + part.len());
    let mut from = file.len().saturating_sub(room);
    while !file.is_char_boundary(from) {
        from += 1;
    }
    format!("{hash}{}{part}", &file[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(base: &str) -> FileIds {
        FileIds {
            current: "/home/ada/work".into(),
            base: base.into(),
        }
    }

    #[test]
    fn every_spelling_of_a_file_gives_the_same_name() {
        let ids = ids("/home/ada/work");
        for path in [
            "notes/a.md",
            "./notes//a.md",
            "notes/../notes/a.md",
            "/home/ada/work/notes/a.md",
            "../work/notes/a.md",
        ] {
            assert_eq!(ids.of(Path::new(path)), "notes/a.md", "{path}");
        }
    }

    #[test]
    fn files_elsewhere_have_their_whole_path() {
        let ids = ids("/home/ada/work");
        assert_eq!(ids.of(Path::new("/srv/a/readme.md")), "srv/a/readme.md");
        assert_eq!(ids.of(Path::new("../b/readme.md")), "home/ada/b/readme.md");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_utf8_stay_apart() {
        use std::os::unix::ffi::OsStrExt;
        let ids = ids("/home/ada/work");
        let of = |name: &[u8]| ids.of(Path::new(OsStr::from_bytes(name)));
        assert_eq!(
            (of(b"a\xfe.md"), of(b"a\xff.md")),
            ("a%FE.md".to_owned(), "a%FF.md".to_owned())
        );
    }

    #[test]
    fn names_may_be_relative_to_another_folder() {
        let ids = ids("/home/ada/work/notes");
        assert_eq!(ids.of(Path::new("notes/a.md")), "a.md");
    }

    #[test]
    fn a_long_path_is_cut_at_its_beginning_and_stays_distinct() {
        let long = |name: &str| format!("{name}/{}/readme.md", "ä".repeat(400));
        let (one, two) = (
            with_part(&long("one"), "#page=1"),
            with_part(&long("two"), "#page=1"),
        );
        assert_ne!(one, two);
        for id in [&one, &two] {
            assert!(
                id.len() <= MAX_ID_BYTES && id.ends_with("/readme.md#page=1"),
                "{id}"
            );
        }
        assert_eq!(with_part("a.md", ""), "a.md");
    }
}
