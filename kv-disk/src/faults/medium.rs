//! What a loss of power leaves: what was synced, and any part of what was not.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use fastrand::Rng;

/// The unit in which a medium writes all or nothing.
const SECTOR: usize = 512;

/// The files of one store, as they are on the medium.
#[derive(Clone, Debug, Default)]
pub(crate) struct Medium {
    files: BTreeMap<OsString, Contents>,
}

#[derive(Clone, Debug)]
struct Contents {
    synced: Vec<u8>,
    pending: Vec<Pending>,
}

/// A change that no sync has followed.
#[derive(Clone, Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Medium {
    /// Notes a file that was opened; what is in it counts as synced.
    pub(super) fn opened(&mut self, path: &Path) {
        let name = path.file_name().unwrap().to_owned();
        self.files.entry(name).or_insert_with(|| Contents {
            synced: fs::read(path).unwrap(),
            pending: Vec::new(),
        });
    }

    pub(super) fn written(&mut self, path: &Path, offset: u64, data: &[u8]) {
        let offset = usize::try_from(offset).unwrap();
        self.change(path, Pending::Write(offset, data.to_vec()));
    }

    pub(super) fn resized(&mut self, path: &Path, len: u64) {
        self.change(path, Pending::SetLen(usize::try_from(len).unwrap()));
    }

    pub(super) fn synced(&mut self, path: &Path) {
        let contents = self.files.get_mut(path.file_name().unwrap()).unwrap();
        for pending in std::mem::take(&mut contents.pending) {
            pending.apply(&mut contents.synced, || true);
        }
    }

    fn change(&mut self, path: &Path, pending: Pending) {
        let contents = self.files.get_mut(path.file_name().unwrap()).unwrap();
        contents.pending.push(pending);
    }

    /// Writes the files into `folder` as they might be found after the power was lost: of what was
    /// not synced each sector is there or not.
    pub(crate) fn write_to(&self, folder: &Path, rng: &mut Rng) {
        for (name, contents) in &self.files {
            let mut bytes = contents.synced.clone();
            let share = [0.0, 0.5, 0.95, 1.0][rng.usize(0..4)];
            for pending in &contents.pending {
                pending.apply(&mut bytes, || rng.f64() < share);
            }
            fs::write(folder.join(name), bytes).unwrap();
        }
    }
}

impl Pending {
    /// Changes `bytes`, in those sectors that `lands` says.
    fn apply(&self, bytes: &mut Vec<u8>, mut lands: impl FnMut() -> bool) {
        match self {
            Self::SetLen(len) if lands() => bytes.resize(*len, 0),
            Self::SetLen(_) => {}
            Self::Write(offset, data) => {
                let mut start = 0;
                while start < data.len() {
                    let position = offset + start;
                    let sector_end = (position / SECTOR + 1) * SECTOR;
                    let end = data.len().min(sector_end - offset);
                    if lands() {
                        let needed = offset + end;
                        if bytes.len() < needed {
                            bytes.resize(needed, 0);
                        }
                        bytes[position..needed].copy_from_slice(&data[start..end]);
                    }
                    start = end;
                }
            }
        }
    }
}
