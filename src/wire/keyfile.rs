//! Evaluation keys that stay in their file until they are needed.

use std::path::{Path, PathBuf};

use super::{
    Header, KeyEntry, Result, Source, Stamp, evaluation,
    file::{at, open},
    frame,
    header::Seal,
    map::Map,
};
use crate::{
    backend::Backend,
    rlwe::{Context, KeyNeeds, Level, MissingKey, RlweError, SeededEvaluationKeys, SeededSwitchKey},
};

/// A file of evaluation keys, mapped into memory. Opening it checks header and index; a key is read, and its checksum and residues
/// checked, when it is loaded. Loading one key allocates memory for that key only.
///
/// The file must not be changed in place meanwhile; replacing it by renaming another is fine. A change that is noticed is an
/// error; one in the very moment of reading may end the process.
pub struct KeyFile<B: Backend> {
    path: PathBuf,
    ctx: Context<B>,
    map: Map,
    header: Header,
    seal: Option<Seal>,
    index: Vec<KeyEntry>,
}

impl<B: Backend> KeyFile<B> {
    /// Opens a file of keys made with the parameters of `ctx`. In a file of version 1 it checks all keys, which have one checksum.
    pub fn open(path: &Path, ctx: &Context<B>) -> Result<Self> {
        let (file, _) = open(path)?;
        let read = || {
            let map = Map::new(file)?;
            let (header, seal, index) = read_index(&map, ctx)?;
            Ok(Self {
                path: path.to_owned(),
                ctx: ctx.clone(),
                map,
                header,
                seal,
                index,
            })
        };
        read().map_err(at(path))
    }

    /// Whose keys they are.
    pub fn stamp(&self) -> Stamp {
        self.header.stamp
    }

    /// The keys in the file.
    pub fn index(&self) -> &[KeyEntry] {
        &self.index
    }

    /// The keys that a computation needs, and no others.
    pub fn load(&self, needs: &KeyNeeds) -> Result<SeededEvaluationKeys<B>> {
        let relinearisation = needs.relinearisation();
        let relinearisation = relinearisation.map(|level| (MissingKey::Relinearisation, level));
        let galois = needs.galois().map(|(g, level)| (MissingKey::Galois(g), level));
        let keys = relinearisation.into_iter().chain(galois);
        let keys = keys.map(|(purpose, level)| self.load_key(purpose, level));
        Ok(SeededEvaluationKeys {
            keys: keys.collect::<Result<_>>()?,
        })
    }

    /// One key up to a level; one that is stored up to a higher level is truncated.
    pub fn load_key(&self, purpose: MissingKey, level: Level) -> Result<SeededSwitchKey<B>> {
        self.read(purpose, level).map_err(at(&self.path))
    }

    fn read(&self, purpose: MissingKey, level: Level) -> Result<SeededSwitchKey<B>> {
        let operation = || String::from("loading keys");
        let found = self.index.iter().zip(1..).find(|(key, _)| key.purpose == purpose);
        let Some((key, number)) = found else {
            let held = format!(" (the file holds {} others)", self.index.len());
            return Err(RlweError::MissingKey {
                operation: operation(),
                key: purpose,
                held,
            }
            .into());
        };
        if level > key.level {
            return Err(RlweError::KeyLevel {
                operation: operation(),
                key: purpose,
                wanted: level,
                held: key.level,
            }
            .into());
        }
        let mut bytes = self.map.from(key.offset)?;
        let mut source = Source::at(&mut bytes, self.header, self.seal, number, key.offset);
        key.read(&self.ctx, &mut source, level)
    }
}

/// The header with its checksum, and the index.
fn read_index<B: Backend>(map: &Map, ctx: &Context<B>) -> Result<(Header, Option<Seal>, Vec<KeyEntry>)> {
    let mut bytes = map.from(0)?;
    let mut source = Source::new(&mut bytes, map.len())?;
    frame::check::<_, SeededEvaluationKeys<B>>(source.header(), ctx)?;
    let index = evaluation::read_index(ctx, &mut source)?;
    let (header, seal) = (*source.header(), source.seal());
    if seal.is_none() {
        source.skip(source.remaining())?;
        source.finish()?;
    }
    Ok((header, seal, index))
}
