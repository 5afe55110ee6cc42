//! Files and directories in memory. Cheap to copy: the bytes of a file are shared until one copy changes them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::journal::Inode;

pub(super) const ROOT: Inode = 0;

#[derive(Debug, Clone)]
enum Node {
    File(Arc<Vec<u8>>),
    Dir(Arc<BTreeMap<OsString, Inode>>),
}

/// A file system.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: HashMap<Inode, Node>,
    next: Inode,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: HashMap::from([(ROOT, Node::Dir(Arc::default()))]), next: ROOT + 1 }
    }
}

/// The names on the way to a path.
pub(super) fn names_of(path: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}

impl Tree {
    fn add(&mut self, node: Node) -> Inode {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    /// A new file that has no name yet.
    pub(super) fn new_file(&mut self) -> Inode {
        self.add(Node::File(Arc::default()))
    }

    /// A new directory that has no name yet.
    pub(super) fn new_dir(&mut self) -> Inode {
        self.add(Node::Dir(Arc::default()))
    }

    /// Makes room for a file or directory that another tree made.
    pub(super) fn adopt(&mut self, inode: Inode, is_dir: bool) {
        let node = || if is_dir { Node::Dir(Arc::default()) } else { Node::File(Arc::default()) };
        self.nodes.entry(inode).or_insert_with(node);
        self.next = self.next.max(inode + 1);
    }

    fn dir(&self, inode: Inode) -> io::Result<&BTreeMap<OsString, Inode>> {
        match self.nodes.get(&inode) {
            Some(Node::Dir(names)) => Ok(names),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn dir_mut(&mut self, inode: Inode) -> io::Result<&mut BTreeMap<OsString, Inode>> {
        match self.nodes.get_mut(&inode) {
            Some(Node::Dir(names)) => Ok(Arc::make_mut(names)),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> io::Result<&mut Vec<u8>> {
        match self.nodes.get_mut(&inode) {
            Some(Node::File(bytes)) => Ok(Arc::make_mut(bytes)),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file's bytes.
    pub(super) fn bytes(&self, inode: Inode) -> io::Result<Arc<Vec<u8>>> {
        match self.nodes.get(&inode) {
            Some(Node::File(bytes)) => Ok(Arc::clone(bytes)),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn set_bytes(&mut self, inode: Inode, bytes: Vec<u8>) -> io::Result<()> {
        *self.file_mut(inode)? = bytes;
        Ok(())
    }

    pub(super) fn append(&mut self, inode: Inode, bytes: &[u8]) -> io::Result<()> {
        self.file_mut(inode)?.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes at any place; what lies between the end and that place becomes zeros.
    pub(super) fn write_at(&mut self, inode: Inode, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (file, start) = (self.file_mut(inode)?, at as usize);
        file.resize(file.len().max(start + bytes.len()), 0);
        file[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn truncate(&mut self, inode: Inode, len: u64) -> io::Result<()> {
        self.file_mut(inode)?.resize(len as usize, 0);
        Ok(())
    }

    /// What has a name in a directory.
    pub(super) fn child(&self, dir: Inode, name: &OsStr) -> io::Result<Inode> {
        self.dir(dir)?.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, dir: Inode) -> io::Result<Vec<OsString>> {
        Ok(self.dir(dir)?.keys().cloned().collect())
    }

    pub(super) fn is_dir(&self, inode: Inode) -> bool {
        matches!(self.nodes.get(&inode), Some(Node::Dir(_)))
    }

    /// What is at a path.
    pub(super) fn resolve(&self, path: &Path) -> io::Result<Inode> {
        names_of(path)?.iter().try_fold(ROOT, |dir, name| self.child(dir, name))
    }

    /// The directory of a path, which must be there, and the last name, which need not.
    pub(super) fn place(&self, path: &Path) -> io::Result<(Inode, OsString)> {
        let mut names = names_of(path)?;
        let last = names.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = names.iter().try_fold(ROOT, |dir, name| self.child(dir, name))?;
        self.dir(dir).map(|_| (dir, last))
    }

    pub(super) fn link(&mut self, dir: Inode, name: &OsStr, inode: Inode) -> io::Result<()> {
        self.dir_mut(dir)?.insert(name.to_owned(), inode);
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: Inode, name: &OsStr) -> io::Result<()> {
        self.dir_mut(dir)?.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Gives a file or directory another name; what had that name loses it.
    pub(super) fn rename(&mut self, from: (Inode, &OsStr), to: (Inode, &OsStr)) -> io::Result<Inode> {
        let inode = self.child(from.0, from.1)?;
        if let Ok(old) = self.child(to.0, to.1)
            && self.is_dir(old)
            && !self.names(old)?.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(from.0, from.1)?;
        self.link(to.0, to.1, inode)?;
        Ok(inode)
    }

    /// A path of a file or directory; empty where it has none.
    pub(super) fn path_of(&self, inode: Inode) -> PathBuf {
        self.search(ROOT, PathBuf::from("/"), inode).unwrap_or_default()
    }

    fn search(&self, dir: Inode, path: PathBuf, wanted: Inode) -> Option<PathBuf> {
        if dir == wanted {
            return Some(path);
        }
        let names = self.dir(dir).ok()?;
        names.iter().find_map(|(name, inode)| self.search(*inode, path.join(name), wanted))
    }

    /// A number that two trees share only if all that can be reached in them is the same.
    pub(super) fn digest(&self) -> u128 {
        let mut listing = Vec::new();
        self.list_into(ROOT, &mut listing);
        xxhash_rust::xxh3::xxh3_128(&listing)
    }

    fn list_into(&self, inode: Inode, listing: &mut Vec<u8>) {
        match self.nodes.get(&inode) {
            Some(Node::File(bytes)) => {
                listing.extend_from_slice(&xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes());
            }
            Some(Node::Dir(names)) => {
                listing.push(b'(');
                for (name, inode) in names.iter() {
                    listing.extend_from_slice(name.as_encoded_bytes());
                    listing.push(0);
                    self.list_into(*inode, listing);
                }
                listing.push(b')');
            }
            None => listing.push(b'?'),
        }
    }
}
