//! The facade for those who embed the crate: [`Engine`], [`Client`], [`ServerKeys`]. Not generic, `Send + Sync`, no globals.
//!
//! The engine picks a backend once; today that is the CPU, and programs written against this module will not change when GPUs
//! join. Operations stay honest: nothing rescales or relinearises by itself.

use crate::{
    arith::Complex,
    backend::{Backend, Capabilities, cpu::Cpu},
    ckks::{self, Ckks, CkksError, Evaluator},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys},
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
pub struct Upload(ckks::SeededCiphertext<Cpu>);

impl Upload {
    /// Bytes of residues and seeds.
    pub fn bytes(&self, engine: &Engine) -> usize {
        self.0.bytes(engine.ckks.context())
    }

    /// The ciphertexts, on the server's device.
    pub fn receive(&self, engine: &Engine) -> Result<Encrypted> {
        Ok(Encrypted(self.0.expand(engine.ckks.context())?))
    }
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
        Ok(Upload(self.engine.ckks.encrypt(
            &self.secret,
            values,
            items,
            top,
        )?))
    }

    /// Encrypts one vector of real numbers (a power of two up to N/2 of them) at the highest level.
    pub fn encrypt_real(&self, values: &[f64]) -> Result<Upload> {
        let values: Vec<Complex> = values.iter().map(|v| Complex::from(*v)).collect();
        self.encrypt(&values, 1)
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
            seeded,
            keys,
        })
    }
}

/// What the server computes with: evaluation keys, no secret.
pub struct ServerKeys {
    engine: Engine,
    seeded: SeededEvaluationKeys<Cpu>,
    keys: EvaluationKeys<Cpu>,
}

impl ServerKeys {
    /// Bytes that travel.
    pub fn bytes(&self) -> usize {
        self.seeded.bytes(self.engine.ckks.context())
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
