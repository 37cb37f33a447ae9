//! What a disk could hold after a power cut, from a record of what a program did.
//!
//! The model: the content of a file is what the last fsync of it covered, with any part of what was
//! written since, torn at sectors; an fsync of a folder covers the names in it, and of the changes
//! since, the first ones may be there. Nothing else makes anything durable, `sync_file_range` least.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of several tests, each of which uses some"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::Dice;

/// One thing that the program did; `io_shim.c` writes them down.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Start,
    Open {
        file: i32,
        flags: u64,
        path: PathBuf,
    },
    Write {
        file: i32,
        offset: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        file: i32,
        length: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    MakeFolder {
        path: PathBuf,
    },
    RemoveFolder {
        path: PathBuf,
    },
    Fsync {
        file: i32,
    },
    Close {
        file: i32,
    },
}

/// Bytes of the lines at the start of a record that are whole.
pub(crate) fn whole_lines(log: &[u8]) -> usize {
    let mut rest = log;
    while let Some((head, after)) = rest.split_first_chunk::<17>() {
        let length = u32::from_le_bytes(head[13..17].try_into().unwrap()) as usize;
        let Some(after) = after.get(length..) else {
            break;
        };
        rest = after;
    }
    log.len() - rest.len()
}

/// Reads a record.
pub(crate) fn events(log: &[u8]) -> Vec<Event> {
    let mut rest = log;
    let mut events = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<17>() {
        let file = i32::from_le_bytes(head[1..5].try_into().unwrap());
        let number = u64::from_le_bytes(head[5..13].try_into().unwrap());
        let length = u32::from_le_bytes(head[13..17].try_into().unwrap()) as usize;
        // A program that was killed may have left half a line.
        let Some((bytes, after)) = after.split_at_checked(length) else {
            break;
        };
        let path = || PathBuf::from(std::str::from_utf8(bytes).unwrap());
        events.push(match head[0] {
            1 => Event::Start,
            2 => Event::Open {
                file,
                flags: number,
                path: path(),
            },
            3 => Event::Write {
                file,
                offset: number,
                bytes: bytes.to_vec(),
            },
            4 => Event::Truncate {
                file,
                length: number,
            },
            5 => {
                let both = std::str::from_utf8(bytes).unwrap();
                let (from, to) = both.split_once('\0').unwrap();
                Event::Rename {
                    from: from.into(),
                    to: to.into(),
                }
            }
            6 => Event::Unlink { path: path() },
            7 => Event::MakeFolder { path: path() },
            8 => Event::RemoveFolder { path: path() },
            9 => Event::Fsync { file },
            10 => Event::Close { file },
            kind => panic!("no event {kind}"),
        });
        rest = after;
    }
    events
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Node {
    File(usize),
    Folder,
}

#[derive(Debug, Clone)]
enum NameChange {
    Put(PathBuf, Node),
    Remove(PathBuf),
    /// A folder with everything in it, at once.
    Move(PathBuf, PathBuf),
}

/// How much of what was not fsynced is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kept {
    Nothing,
    Everything,
    /// The first changes, the last of them torn.
    Prefix,
    /// Any of them, some of them torn.
    Some,
}

pub(crate) const EVERY_KEPT: [Kept; 4] =
    [Kept::Nothing, Kept::Everything, Kept::Prefix, Kept::Some];

const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;

/// A disk while the program runs.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    /// Names as the program sees them.
    names: BTreeMap<PathBuf, Node>,
    durable_names: BTreeMap<PathBuf, Node>,
    /// Changes of names since the folder's last fsync.
    pending_names: BTreeMap<PathBuf, Vec<NameChange>>,
    open: HashMap<i32, PathBuf>,
    open_files: HashMap<i32, usize>,
    /// Open files that [`is_unseen`].
    unseen: HashSet<i32>,
}

/// tantivy renames files by system calls that no library function makes, so the record of what
/// happens in the folder of words is not whole. Its files are left out of every disk: words are made
/// anew from the record then, too.
fn is_unseen(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "lexical")
}

impl Disk {
    /// An empty folder.
    pub(crate) fn new(root: &Path) -> Self {
        let names = BTreeMap::from([(root.to_owned(), Node::Folder)]);
        Self {
            root: root.to_owned(),
            files: Vec::new(),
            durable_names: names.clone(),
            names,
            pending_names: BTreeMap::new(),
            open: HashMap::new(),
            open_files: HashMap::new(),
            unseen: HashSet::new(),
        }
    }

    /// A folder as it is, durable.
    pub(crate) fn holding(root: &Path) -> Self {
        let mut disk = Self::new(root);
        disk.add(root);
        disk.names.clone_from(&disk.durable_names);
        disk
    }

    fn add(&mut self, folder: &Path) {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let node = if path.is_dir() {
                self.add(&path);
                Node::Folder
            } else {
                self.files.push(File {
                    durable: fs_err::read(&path).unwrap(),
                    pending: Vec::new(),
                });
                Node::File(self.files.len() - 1)
            };
            self.durable_names.insert(path, node);
        }
    }

    pub(crate) fn happen(&mut self, event: &Event) {
        match event {
            Event::Start => {
                self.open.clear();
                self.unseen.clear();
                self.open_files.clear();
            }
            Event::Open { file, flags, path } => self.opened(*file, *flags, path),
            Event::Write {
                file,
                offset,
                bytes,
            } => {
                self.change(*file, Change::Write(*offset, bytes.clone()));
            }
            Event::Truncate { file, length } => self.change(*file, Change::Truncate(*length)),
            Event::Rename { from, to } => {
                if self.names.get(from) == Some(&Node::Folder) {
                    self.move_folder(from, to);
                } else if let Some(node) = self.names.get(from).copied() {
                    self.rename(NameChange::Remove(from.clone()));
                    self.rename(NameChange::Put(to.clone(), node));
                }
            }
            Event::Unlink { path } => self.rename(NameChange::Remove(path.clone())),
            Event::RemoveFolder { path } => self.remove_folder(path),
            Event::MakeFolder { path } => {
                self.rename(NameChange::Put(path.clone(), Node::Folder));
            }
            Event::Fsync { file } => self.fsync(*file),
            Event::Close { file } => {
                self.open.remove(file);
                self.unseen.remove(file);
                self.open_files.remove(file);
            }
        }
    }

    fn opened(&mut self, file: i32, flags: u64, path: &Path) {
        self.unseen.remove(&file);
        if is_unseen(path) {
            self.open_files.remove(&file);
            self.unseen.insert(file);
            return;
        }
        self.open.insert(file, path.to_owned());
        let known = self.names.get(path).copied();
        let node = match known {
            Some(node) => node,
            None if flags & O_CREAT != 0 => {
                self.files.push(File::default());
                let node = Node::File(self.files.len() - 1);
                self.rename(NameChange::Put(path.to_owned(), node));
                node
            }
            None => panic!("{} was opened and never made", path.display()),
        };
        if let Node::File(number) = node {
            self.open_files.insert(file, number);
            if known.is_some() && flags & O_TRUNC != 0 {
                self.files[number].pending.push(Change::Truncate(0));
            }
        }
    }

    fn change(&mut self, file: i32, change: Change) {
        if self.unseen.contains(&file) {
            return;
        }
        let number = self.open_files[&file];
        self.files[number].pending.push(change);
    }

    fn rename(&mut self, change: NameChange) {
        let (NameChange::Put(path, _) | NameChange::Remove(path) | NameChange::Move(path, _)) =
            &change;
        let folder = path.parent().unwrap().to_owned();
        apply_name(&mut self.names, &change);
        self.pending_names.entry(folder).or_default().push(change);
    }

    /// With the folder goes what was in it. What was taken out of it before reaches the disk before.
    fn remove_folder(&mut self, path: &Path) {
        let within = self.pending_names.remove(path).unwrap_or_default();
        let parent = path.parent().unwrap().to_owned();
        self.pending_names.entry(parent).or_default().extend(within);
        self.rename(NameChange::Remove(path.to_owned()));
    }

    /// What changed within the folder and was not fsynced is lost when its move is.
    fn move_folder(&mut self, from: &Path, to: &Path) {
        self.rename(NameChange::Move(from.to_owned(), to.to_owned()));
        let pending = std::mem::take(&mut self.pending_names);
        for (folder, changes) in pending {
            let changes = match folder.starts_with(from) {
                true => changes
                    .iter()
                    .map(|change| change.moved(from, to))
                    .collect(),
                false => changes,
            };
            let folder = moved(&folder, from, to);
            self.pending_names
                .entry(folder)
                .or_default()
                .extend(changes);
        }
        for path in self.open.values_mut() {
            *path = moved(path, from, to);
        }
    }

    fn fsync(&mut self, file: i32) {
        if let Some(number) = self.open_files.get(&file) {
            let file = &mut self.files[*number];
            for change in file.pending.drain(..) {
                apply(&mut file.durable, &change);
            }
        } else if let Some(folder) = self.open.get(&file) {
            for change in self.pending_names.remove(folder).unwrap_or_default() {
                apply_name(&mut self.durable_names, &change);
            }
        }
    }

    /// The content of a file as the program sees it.
    pub(crate) fn seen(&self, path: &Path) -> Vec<u8> {
        let Some(Node::File(number)) = self.names.get(path) else {
            return Vec::new();
        };
        let file = &self.files[*number];
        let mut bytes = file.durable.clone();
        for change in &file.pending {
            apply(&mut bytes, change);
        }
        bytes
    }

    /// Writes down what could be there if the power were cut now.
    pub(crate) fn cut(&self, kept: Kept, dice: &mut Dice, target: &Path) {
        let mut names = self.durable_names.clone();
        for changes in self.pending_names.values() {
            let count = match kept {
                Kept::Nothing => 0,
                Kept::Everything => changes.len(),
                Kept::Prefix | Kept::Some => dice.below(changes.len() + 1),
            };
            for change in &changes[..count] {
                apply_name(&mut names, change);
            }
        }
        for (path, node) in &names {
            let target = target.join(path.strip_prefix(&self.root).unwrap());
            match node {
                Node::Folder => fs_err::create_dir_all(target).unwrap(),
                // A name without its folder cannot be reached.
                Node::File(_) if !target.parent().unwrap().is_dir() => {}
                Node::File(number) => {
                    fs_err::write(target, self.files[*number].after_cut(kept, dice)).unwrap();
                }
            }
        }
    }
}

fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    }
}

impl NameChange {
    fn moved(&self, from: &Path, to: &Path) -> Self {
        match self {
            Self::Put(path, node) => Self::Put(moved(path, from, to), *node),
            Self::Remove(path) => Self::Remove(moved(path, from, to)),
            Self::Move(old, new) => Self::Move(moved(old, from, to), moved(new, from, to)),
        }
    }
}

impl File {
    fn after_cut(&self, kept: Kept, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let end = match kept {
            Kept::Nothing => 0,
            Kept::Everything | Kept::Some => self.pending.len(),
            Kept::Prefix => dice.below(self.pending.len() + 1),
        };
        for (place, change) in self.pending[..end].iter().enumerate() {
            match kept {
                Kept::Some => match dice.below(3) {
                    0 => {}
                    1 => apply(&mut bytes, change),
                    _ => apply_torn(&mut bytes, change, dice),
                },
                Kept::Prefix if place + 1 == end => apply_torn(&mut bytes, change, dice),
                _ => apply(&mut bytes, change),
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(length) => bytes.resize(*length as usize, 0),
        Change::Write(offset, written) => {
            let start = *offset as usize;
            let end = start + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(written);
        }
    }
}

/// Some sectors of a write.
fn apply_torn(bytes: &mut Vec<u8>, change: &Change, dice: &mut Dice) {
    let Change::Write(offset, written) = change else {
        return apply(bytes, change);
    };
    let sector = [512, 4096][dice.below(2)];
    let begins_at_sector = (*offset as usize).next_multiple_of(sector) - *offset as usize;
    let (head, rest) = written.split_at(begins_at_sector.min(written.len()));
    let pieces = std::iter::once(head).chain(rest.chunks(sector));
    let mut start = *offset;
    for piece in pieces {
        if dice.below(2) == 0 {
            apply(bytes, &Change::Write(start, piece.to_vec()));
        }
        start += piece.len() as u64;
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, Node>, change: &NameChange) {
    match change {
        NameChange::Put(path, node) => drop(names.insert(path.clone(), *node)),
        NameChange::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
        NameChange::Move(from, to) => {
            let all = std::mem::take(names).into_iter();
            names.extend(all.map(|(path, node)| (moved(&path, from, to), node)));
        }
    }
}
