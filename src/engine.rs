//! The facade for those who embed the crate: [`Engine`], [`Client`], [`ServerKeys`]. Not generic, `Send + Sync`, no globals.
//!
//! The engine picks a backend once; today that is the CPU, and programs written against this module will not change when GPUs
//! join. Operations stay honest: nothing rescales or relinearises by itself.

use std::path::Path;

use crate::{
    arith::Complex,
    backend::{Backend, Capabilities, cpu::Cpu},
    ckks::{self, Ckks, CkksError, Evaluator},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys},
    wire::{self, Existing, KeyFile, Name, Stamp, WireError},
};

/// Result of an operation of the facade.
pub type Result<T> = std::result::Result<T, CkksError>;

/// A parameter set on a device. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    ckks: Ckks<Cpu>,
}

impl Engine {
    /// The fastest backend that this build and machine have.
    pub fn auto(params: Params) -> Result<Self> {
        Ok(Self {
            ckks: Ckks::new(&Context::new(Cpu::new(), params)?),
        })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        self.ckks.context().params()
    }

    /// The device.
    pub fn device(&self) -> Capabilities {
        self.ckks.context().backend().capabilities()
    }

    /// Complex numbers in a full ciphertext, N/2.
    pub fn slots(&self) -> usize {
        self.ckks.max_slots()
    }

    /// The key names that this engine's parameters know, to be filled in.
    pub fn key_needs(&self) -> KeyNeeds {
        KeyNeeds::new(self.params())
    }

    /// The CKKS layer below, for everything that the facade does not wrap.
    pub fn ckks(&self) -> &Ckks<Cpu> {
        &self.ckks
    }
}

/// Ciphertexts that a client sent, or that a server computed: `items` vectors of `slots` complex numbers.
#[derive(Clone)]
pub struct Encrypted(ckks::Ciphertext<Cpu>);

impl Encrypted {
    /// The level; every rescale goes one down.
    pub fn level(&self) -> Level {
        self.0.level()
    }

    /// log2 of the scale.
    pub fn scale_log2(&self) -> f64 {
        self.0.scale().log2()
    }

    /// Number of vectors.
    pub fn items(&self) -> usize {
        self.0.items()
    }

    /// The ciphertext of the CKKS layer.
    pub fn inner(&self) -> &ckks::Ciphertext<Cpu> {
        &self.0
    }
}

impl From<ckks::Ciphertext<Cpu>> for Encrypted {
    fn from(inner: ckks::Ciphertext<Cpu>) -> Self {
        Self(inner)
    }
}

/// Fresh ciphertexts on their way to the server: half the bytes, since their second halves are seeds.
pub struct Upload {
    inner: ckks::SeededCiphertext<Cpu>,
    key: Name,
}

impl Upload {
    /// Bytes of residues and seeds.
    pub fn bytes(&self, engine: &Engine) -> usize {
        self.inner.bytes(engine.ckks.context())
    }

    /// The message for [`ServerKeys::receive`].
    pub fn to_bytes(&self, engine: &Engine) -> wire::Result<Vec<u8>> {
        wire::to_bytes(&self.inner, engine.ckks.context(), stamp(self.key))
    }

    /// The ciphertexts, on the server's device.
    pub fn receive(&self, engine: &Engine) -> Result<Encrypted> {
        Ok(Encrypted(self.inner.expand(engine.ckks.context())?))
    }
}

fn stamp(key: Name) -> Stamp {
    Stamp {
        key,
        ..Stamp::default()
    }
}

fn check_owner(found: Name, wanted: Name) -> wire::Result<()> {
    if found != wanted {
        return Err(WireError::Owner { found, wanted });
    }
    Ok(())
}

/// The side that holds the secret.
pub struct Client {
    engine: Engine,
    secret: SecretKey<Cpu>,
}

impl Client {
    /// A fresh secret from the operating system's randomness.
    pub fn generate(engine: &Engine) -> Result<Self> {
        Ok(Self {
            engine: engine.clone(),
            secret: SecretKey::generate(engine.ckks.context())?,
        })
    }

    /// Encrypts `items` vectors of equally many numbers (a power of two up to N/2 each) at the highest level.
    pub fn encrypt(&self, values: &[Complex], items: usize) -> Result<Upload> {
        let top = self.engine.params().top();
        Ok(Upload {
            inner: self.engine.ckks.encrypt(&self.secret, values, items, top)?,
            key: self.key(),
        })
    }

    /// Encrypts one vector of real numbers (a power of two up to N/2 of them) at the highest level.
    pub fn encrypt_real(&self, values: &[f64]) -> Result<Upload> {
        let values: Vec<Complex> = values.iter().map(|v| Complex::from(*v)).collect();
        self.encrypt(&values, 1)
    }

    /// The name of the secret, which messages carry.
    pub fn key(&self) -> Name {
        Name(self.secret.name())
    }

    /// An answer of [`ServerKeys::answer`], checked in all its parts.
    pub fn receive(&self, answer: &[u8]) -> wire::Result<Encrypted> {
        let (inner, stamp) = wire::from_bytes(answer, self.engine.ckks.context())?;
        check_owner(stamp.key, self.key())?;
        Ok(Encrypted(inner))
    }

    /// Decrypts every vector, one after the other. Show exact results to the owner of the key only: their noise depends on it.
    pub fn decrypt(&self, ct: &Encrypted) -> Result<Vec<Complex>> {
        self.engine.ckks.decrypt(&self.secret, &ct.0)
    }

    /// The keys that a server needs for a computation, to be sent once.
    pub fn server_keys(&self, needs: &KeyNeeds) -> Result<ServerKeys> {
        let seeded = self.secret.evaluation_keys(needs)?;
        let keys = seeded.expand(self.engine.ckks.context())?;
        Ok(ServerKeys {
            engine: self.engine.clone(),
            key: self.key(),
            seeded,
            keys,
        })
    }
}

/// What the server computes with: evaluation keys, no secret.
pub struct ServerKeys {
    engine: Engine,
    key: Name,
    seeded: SeededEvaluationKeys<Cpu>,
    keys: EvaluationKeys<Cpu>,
}

impl ServerKeys {
    /// Bytes that travel.
    pub fn bytes(&self) -> usize {
        self.seeded.bytes(self.engine.ckks.context())
    }

    /// The message for [`ServerKeys::from_bytes`].
    pub fn to_bytes(&self) -> wire::Result<Vec<u8>> {
        wire::to_bytes(&self.seeded, self.engine.ckks.context(), stamp(self.key))
    }

    /// The keys that a client sent, checked in all their parts.
    pub fn from_bytes(engine: &Engine, message: &[u8]) -> wire::Result<Self> {
        Self::expand(engine, wire::from_bytes(message, engine.ckks.context())?)
    }

    /// Writes the keys to a file; one that is there is kept unless `existing` says otherwise.
    pub fn save(&self, path: &Path, existing: Existing) -> wire::Result<()> {
        wire::save(
            path,
            &self.seeded,
            self.engine.ckks.context(),
            stamp(self.key),
            existing,
        )
    }

    /// The keys of a file that [`ServerKeys::save`] or the command line program wrote, checked in all their parts.
    pub fn load(engine: &Engine, path: &Path) -> wire::Result<Self> {
        Self::expand(engine, wire::load(path, engine.ckks.context())?)
    }

    /// The keys of such a file that a computation needs, and no others: a key file may serve many computations.
    pub fn load_for(engine: &Engine, path: &Path, needs: &KeyNeeds) -> wire::Result<Self> {
        let file = KeyFile::open(path, engine.ckks.context())?;
        Self::expand(engine, (file.load(needs)?, file.stamp()))
    }

    fn expand(engine: &Engine, (seeded, stamp): (SeededEvaluationKeys<Cpu>, Stamp)) -> wire::Result<Self> {
        let keys = seeded.expand(engine.ckks.context())?;
        Ok(Self {
            engine: engine.clone(),
            key: stamp.key,
            keys,
            seeded,
        })
    }

    /// Fresh ciphertexts that the client of these keys sent, checked in all their parts.
    pub fn receive(&self, message: &[u8]) -> wire::Result<Encrypted> {
        let ctx = self.engine.ckks.context();
        let (inner, stamp): (ckks::SeededCiphertext<Cpu>, Stamp) = wire::from_bytes(message, ctx)?;
        check_owner(stamp.key, self.key)?;
        let expanded = inner.rlwe().expand(ctx)?;
        let (scale, slots) = (inner.scale().clone(), inner.slots());
        Ok(Encrypted(ckks::Ciphertext::from_parts(expanded, scale, slots)))
    }

    /// The message for [`Client::receive`].
    pub fn answer(&self, result: &Encrypted) -> wire::Result<Vec<u8>> {
        wire::to_bytes(&result.0, self.engine.ckks.context(), stamp(self.key))
    }

    /// All operations of the CKKS layer.
    pub fn evaluator(&self) -> Evaluator<'_, Cpu> {
        Evaluator::new(&self.engine.ckks, &self.keys)
    }

    /// a + b.
    pub fn add(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().add(&a.0, &b.0)?))
    }

    /// a - b.
    pub fn sub(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().sub(&a.0, &b.0)?))
    }

    /// a b with three components: sum as many as you like before `relinearise_rescale`.
    pub fn mul(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().mul(&a.0, &b.0)?))
    }

    /// a p for numbers known to the server, encoded at the scale of a's level: rescale afterwards.
    pub fn mul_plain(&self, a: &Encrypted, p: &[Complex]) -> Result<Encrypted> {
        let scale = self.engine.ckks.scale(a.level())?.clone();
        let p = self.engine.ckks.encode(p, 1, a.level(), &scale)?;
        Ok(Encrypted(self.evaluator().mul_plain(&a.0, &p)?))
    }

    /// a + p for numbers known to the server.
    pub fn add_plain(&self, a: &Encrypted, p: &[Complex]) -> Result<Encrypted> {
        let p = self.engine.ckks.encode(p, 1, a.level(), a.0.scale())?;
        Ok(Encrypted(self.evaluator().add_plain(&a.0, &p)?))
    }

    /// Back to two components and down a level, in one step.
    pub fn relinearise_rescale(&self, a: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().relinearise_rescale(&a.0)?))
    }

    /// Down a level.
    pub fn rescale(&self, a: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().rescale(&a.0)?))
    }

    /// Slots rotated left by `k`.
    pub fn rotate(&self, a: &Encrypted, k: i64) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().rotate(&a.0, k)?))
    }
}
