//! Unpacks a recorded machine: `=== PATH LENGTH`, then the file; a path that ends with `/` is a folder.

use std::fs;
use std::path::Path;

use gridmon::sources::node::Root;
use gridmon_testkit::TempDir;
use gridmon_testkit::sandbox::fixture;

/// A recorded machine, removed when dropped.
pub struct Tree {
    folder: TempDir,
}

impl Tree {
    /// Unpacks the machine of this name.
    pub fn unpack(name: &str) -> Self {
        let folder = TempDir::new();
        let bytes = fs::read(fixture(&format!("node/{name}.tree"))).unwrap();
        let mut rest = bytes.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let head = std::str::from_utf8(&rest[..end]).unwrap();
            let (path, length) = head.strip_prefix("=== ").unwrap().rsplit_once(' ').unwrap();
            let length: usize = length.parse().unwrap();
            rest = &rest[end + 1..];
            write(&folder.path().join(path), path.ends_with('/'), &rest[..length]);
            // A file that does not end with a line has one added.
            let is_whole = length > 0 && rest[length - 1] == b'\n';
            rest = &rest[length + usize::from(!is_whole)..];
        }
        Self { folder }
    }

    pub fn root(&self) -> Root {
        Root::at(self.folder.path())
    }

    /// Writes a file of it anew.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.folder.path().join(name), false, text.as_bytes());
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn write(path: &Path, is_folder: bool, bytes: &[u8]) {
    if is_folder {
        return fs::create_dir_all(path).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
