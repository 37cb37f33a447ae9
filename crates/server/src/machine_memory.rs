//! How much memory there is: that of the machine, or less in a container.

use std::path::{Path, PathBuf};

/// Memory that this process can have at most, bytes; nothing where that cannot be told.
pub(crate) fn bytes() -> Option<u64> {
    bytes_under(Path::new("/"))
}

fn bytes_under(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().flat_map(|line| limit_files(root, line));
    let limits = limits.filter_map(|file| read(&file)?.trim().parse().ok());
    limits.chain(machine_bytes(root)).min()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let info = read(&root.join("proc/meminfo"))?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// The files that may hold a limit for a line of `/proc/self/cgroup`: of the group and of all above it,
/// since each holds. In a container the group is often mounted as the root, whatever its path says.
fn limit_files(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else {
        return Vec::new();
    };
    let (folder, file) = if controllers.is_empty() {
        ("sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|name| name == "memory") {
        ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    groups
        .map(|group| root.join(folder).join(group).join(file))
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "files that are not there are no error, so nobody asks for their names"
)]
fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = root.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        root
    }

    const MEMORY: (&str, &str) = ("proc/meminfo", "MemTotal:  8388608 kB\nMemFree: 1 kB\n");

    #[test]
    fn the_least_of_machine_and_all_groups_counts() {
        for (files, expected) in [
            (vec![MEMORY], Some(8 << 30)),
            (
                vec![
                    MEMORY,
                    ("proc/self/cgroup", "0::/a/b\n"),
                    ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                    ("sys/fs/cgroup/a/memory.max", "1073741824\n"),
                ],
                Some(1 << 30),
            ),
            (
                vec![
                    MEMORY,
                    ("proc/self/cgroup", "0::/not/mounted\n"),
                    ("sys/fs/cgroup/memory.max", "536870912\n"),
                ],
                Some(512 << 20),
            ),
            (
                vec![
                    MEMORY,
                    ("proc/self/cgroup", "5:cpu:/x\n4:memory:/x\n0::/\n"),
                    (
                        "sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                        "268435456\n",
                    ),
                ],
                Some(256 << 20),
            ),
            (
                vec![
                    MEMORY,
                    ("proc/self/cgroup", "4:memory:/\n"),
                    (
                        "sys/fs/cgroup/memory/memory.limit_in_bytes",
                        "9223372036854771712\n",
                    ),
                ],
                Some(8 << 30),
            ),
            (vec![], None),
        ] {
            let root = machine(&files);
            assert_eq!(bytes_under(root.path()), expected, "{files:?}");
        }
    }
}
