//! Exact integers: the facade of BFV, with the nouns of the one for CKKS.
//!
//! A ciphertext holds 2 rows of [`Engine::columns`] integers, and one operation works on all of them. All arithmetic is modulo t,
//! centred: results are exact while they stay within +-t/2, and while the noise stays below its limit, which [`Engine::noise`] follows
//! before anything is computed.
//!
//! ```
//! use cipherformer::{bfv::{Matrix, Params, PlainModulus, Spec}, engine::integers::{Client, Engine, ServerKeys}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Results of up to 29 bits and a sign, exact.
//! let t = PlainModulus::with_slots(30, 13)?;
//! let engine = Engine::auto(Params::new(Spec::n13(t.value()))?)?;
//! let weights = Matrix::new(2, 3, vec![1, 2, 3, -4, 5, -6])?;
//!
//! let client = Client::generate(&engine)?;
//! let keys = client.evaluation_keys(&weights.keys(engine.key_needs().relinearise()))?;
//! let sent = client.encrypt(&[10, -20, 30])?;
//!
//! let server = ServerKeys::new(&engine, &keys)?;
//! let x = sent.receive(&engine)?;
//! let square = server.relinearise(&server.mul(&x, &x)?)?;
//! let y = server.mul_matrix(&weights, &square)?;
//!
//! assert_eq!(client.decrypt(&y)?[..2], [100 + 800 + 2700, -400 + 2000 - 5400]);
//! # Ok(())
//! # }
//! ```

use crate::{
    backend::{Backend, Capabilities, cpu::Cpu},
    bfv::{self, Bfv, BfvError, Evaluator, Matrix, Noise, Packing, Params, Release},
    rlwe::{EvaluationKeys, KeyNeeds, Level, SecretKey, SeededEvaluationKeys},
};

/// Result of an operation of the facade.
pub type Result<T> = std::result::Result<T, BfvError>;

/// A parameter set on a device. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    bfv: Bfv<Cpu>,
}

impl Engine {
    /// The fastest backend that this build and machine have. The parameters' t has slots: a prime that is 1 modulo 2N, as
    /// [`PlainModulus::with_slots`](bfv::PlainModulus::with_slots) finds.
    pub fn auto(params: Params) -> Result<Self> {
        let bfv = Bfv::new(Cpu::new(), params)?;
        bfv.slots("engine", Packing::Slots)?;
        Ok(Self { bfv })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        self.bfv.params()
    }

    /// The device.
    pub fn device(&self) -> Capabilities {
        self.bfv.context().backend().capabilities()
    }

    /// Integers in each of the two rows of a ciphertext, N/2.
    pub fn columns(&self) -> usize {
        self.params().degree() / 2
    }

    /// The key names that this engine's parameters know, to be filled in.
    pub fn key_needs(&self) -> KeyNeeds {
        KeyNeeds::new(self.params().rlwe())
    }

    /// The noise of what a client encrypts, to be followed through a computation with the same verbs.
    pub fn noise(&self) -> Result<Noise> {
        Noise::fresh(self.params(), self.params().top())
    }

    /// The BFV layer below, for everything that the facade does not wrap.
    pub fn bfv(&self) -> &Bfv<Cpu> {
        &self.bfv
    }
}

/// A ciphertext that a client sent, or that a server computed.
#[derive(Clone)]
pub struct Encrypted(bfv::Ciphertext<Cpu>);

impl Encrypted {
    /// The level.
    pub fn level(&self) -> Level {
        self.0.level()
    }

    /// The ciphertext of the BFV layer.
    pub fn inner(&self) -> &bfv::Ciphertext<Cpu> {
        &self.0
    }
}

impl From<bfv::Ciphertext<Cpu>> for Encrypted {
    fn from(inner: bfv::Ciphertext<Cpu>) -> Self {
        Self(inner)
    }
}

/// A fresh ciphertext on its way to the server: half the bytes, since its second half is a seed.
pub struct Upload(bfv::SeededCiphertext<Cpu>);

impl Upload {
    /// Bytes of residues and seed.
    pub fn bytes(&self, engine: &Engine) -> usize {
        self.0.bytes(engine.bfv.context())
    }

    /// The ciphertext, on the server's device.
    pub fn receive(&self, engine: &Engine) -> Result<Encrypted> {
        Ok(Encrypted(self.0.expand(engine.bfv.context())?))
    }

    /// The ciphertext of the BFV layer.
    pub fn inner(&self) -> &bfv::SeededCiphertext<Cpu> {
        &self.0
    }
}

impl From<bfv::SeededCiphertext<Cpu>> for Upload {
    fn from(inner: bfv::SeededCiphertext<Cpu>) -> Self {
        Self(inner)
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
            secret: SecretKey::generate(engine.bfv.context())?,
        })
    }

    /// Encrypts up to 2 `columns` integers within +-t/2, the first row first; those that are left out are 0.
    pub fn encrypt(&self, values: &[i64]) -> Result<Upload> {
        let bfv = &self.engine.bfv;
        let values = bfv.residues("encrypt", values)?;
        let top = bfv.params().top();
        Ok(Upload(bfv.encrypt(
            &self.secret,
            Packing::Slots,
            &values,
            1,
            top,
        )?))
    }

    /// Decrypts all 2 `columns` integers, for the owner of the key alone.
    pub fn decrypt(&self, ct: &Encrypted) -> Result<Vec<i64>> {
        self.release(ct, Release::Owner)
    }

    /// Decrypts all 2 `columns` integers for whom the policy says, if it allows that.
    pub fn release(&self, ct: &Encrypted, release: Release) -> Result<Vec<i64>> {
        let decrypted = (self.engine.bfv).decrypt(&self.secret, Packing::Slots, &ct.0)?;
        decrypted.release_centred(release)
    }

    /// The keys that a server needs for a computation, to be sent once.
    pub fn evaluation_keys(&self, needs: &KeyNeeds) -> Result<SeededEvaluationKeys<Cpu>> {
        Ok(self.secret.evaluation_keys(needs)?)
    }
}

/// What the server computes with: evaluation keys, no secret.
pub struct ServerKeys {
    engine: Engine,
    keys: EvaluationKeys<Cpu>,
}

impl ServerKeys {
    /// The keys that a client sent.
    pub fn new(engine: &Engine, keys: &SeededEvaluationKeys<Cpu>) -> Result<Self> {
        Ok(Self {
            engine: engine.clone(),
            keys: keys.expand(engine.bfv.context())?,
        })
    }

    /// All operations of the BFV layer.
    pub fn evaluator(&self) -> Evaluator<'_, Cpu> {
        Evaluator::new(&self.engine.bfv, &self.keys)
    }

    /// a + b.
    pub fn add(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().add(&a.0, &b.0)?))
    }

    /// a - b.
    pub fn sub(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().sub(&a.0, &b.0)?))
    }

    /// a b with three components: sum as many as you like before `relinearise`.
    pub fn mul(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().mul(&a.0, &b.0)?))
    }

    /// Back to two components.
    pub fn relinearise(&self, a: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().relinearise(&a.0)?))
    }

    /// a + p for integers known to the server.
    pub fn add_plain(&self, a: &Encrypted, p: &[i64]) -> Result<Encrypted> {
        let p = self.engine.bfv.residues("add_plain", p)?;
        let p = (self.engine.bfv).addend(Packing::Slots, &p, 1, a.level())?;
        Ok(Encrypted(self.evaluator().add_plain(&a.0, &p)?))
    }

    /// a p, slot by slot, for integers known to the server.
    pub fn mul_plain(&self, a: &Encrypted, p: &[i64]) -> Result<Encrypted> {
        let p = self.engine.bfv.residues("mul_plain", p)?;
        let p = (self.engine.bfv).factor(Packing::Slots, &p, 1, a.level())?;
        Ok(Encrypted(self.evaluator().mul_plain(&a.0, &p)?))
    }

    /// a + c for one integer in every slot.
    pub fn add_integer(&self, a: &Encrypted, c: i64) -> Result<Encrypted> {
        let c = self.engine.bfv.residue("add_integer", 0, c)?;
        Ok(Encrypted(self.evaluator().add_integer(&a.0, c)?))
    }

    /// c a for one integer.
    pub fn mul_integer(&self, a: &Encrypted, c: i64) -> Result<Encrypted> {
        let c = self.engine.bfv.residue("mul_integer", 0, c)?;
        Ok(Encrypted(self.evaluator().mul_integer(&a.0, c)?))
    }

    /// Both rows rotated left by `k` columns.
    pub fn rotate(&self, a: &Encrypted, k: i64) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().rotate_columns(&a.0, k)?))
    }

    /// The two rows swapped.
    pub fn swap_rows(&self, a: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().swap_rows(&a.0)?))
    }

    /// The sum of all slots, in every slot; the keys are those of [`bfv::sum_keys`].
    pub fn sum(&self, a: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().sum_slots(&a.0)?))
    }

    /// W x for a matrix known to the server, for the vector in each row; the keys are those of [`Matrix::keys`].
    pub fn mul_matrix(&self, w: &Matrix, x: &Encrypted) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().mul_matrix(w, &x.0)?))
    }

    /// At a lower level: shorter and faster from here on.
    pub fn switch_to(&self, a: &Encrypted, level: Level) -> Result<Encrypted> {
        Ok(Encrypted(self.evaluator().switch_to(&a.0, level)?))
    }
}
