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

use super::{Result, placed::Placed};

use crate::{
    backend::{
        Backend,
        device::{Device, DeviceBackend, DeviceOptions, Family, on},
    },
    bfv::{self, Bfv, Evaluator, Matrix, Noise, Packing, Params, Release},
    rlwe::{EvaluationKeys, KeyNeeds, Level, SecretKey, SeededEvaluationKeys},
};

struct OfBfv;
struct OfCiphertexts;
struct OfSeeded;
struct OfSeededKeys;
struct OfClients;
struct OfServers;

impl Family for OfBfv {
    type On<B: Backend> = Bfv<B>;
}
impl Family for OfCiphertexts {
    type On<B: Backend> = bfv::Ciphertext<B>;
}
impl Family for OfSeeded {
    type On<B: Backend> = bfv::SeededCiphertext<B>;
}
impl Family for OfSeededKeys {
    type On<B: Backend> = SeededEvaluationKeys<B>;
}
impl Family for OfClients {
    type On<B: Backend> = ClientSide<B>;
}
impl Family for OfServers {
    type On<B: Backend> = ServerSide<B>;
}

/// What a client holds on a backend.
struct ClientSide<B: Backend> {
    bfv: Bfv<B>,
    secret: SecretKey<B>,
}

/// What a server holds on a backend.
struct ServerSide<B: Backend> {
    bfv: Bfv<B>,
    keys: EvaluationKeys<B>,
}

/// A parameter set on a device. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    bfv: Placed<OfBfv>,
    params: Params,
}

impl Engine {
    /// On the fastest device that works here ([`Device::auto`]). The parameters' t has slots: a prime that is 1 modulo 2N, as
    /// [`PlainModulus::with_slots`](bfv::PlainModulus::with_slots) finds.
    pub fn auto(params: Params) -> Result<Self> {
        Self::on(&Device::auto(), params)
    }

    /// On the device that is asked for, as [`Engine::open`](super::Engine::open) of approximate numbers.
    pub fn open(choice: impl Into<DeviceOptions>, params: Params) -> Result<Self> {
        Self::on(&Device::open(choice)?, params)
    }

    /// On a device that is open: several engines may share one.
    pub fn on(device: &Device, params: Params) -> Result<Self> {
        let bfv = on!(device.any(), backend => {
            let bfv = Bfv::new(backend.as_ref().clone(), params.clone())?;
            bfv.slots("engine", Packing::Slots)?;
            Placed::new(device, bfv)
        });
        Ok(Self { bfv, params })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The device, and why it is this one.
    pub fn device(&self) -> &Device {
        &self.bfv.device
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
        Ok(Noise::fresh(self.params(), self.params().top())?)
    }

    /// The BFV layer below, for everything that the facade does not wrap: for code that knows its backend, or is written for any
    /// ([`Device::run`]).
    pub fn bfv<B: DeviceBackend>(&self) -> Result<&Bfv<B>> {
        self.bfv.typed("bfv")
    }
}

/// A ciphertext that a client sent, or that a server computed.
#[derive(Clone)]
pub struct Encrypted(Placed<OfCiphertexts>);

impl Encrypted {
    /// A result of the BFV layer, on the device of the engine.
    pub fn new<B: DeviceBackend>(engine: &Engine, inner: bfv::Ciphertext<B>) -> Result<Self> {
        engine.bfv.typed::<B>("Encrypted::new")?;
        Ok(Self(Placed::new(engine.device(), inner)))
    }

    /// The level.
    pub fn level(&self) -> Level {
        on!(&self.0.any, ct => ct.level())
    }

    /// The ciphertext of the BFV layer.
    pub fn inner<B: DeviceBackend>(&self) -> Result<&bfv::Ciphertext<B>> {
        self.0.typed("Encrypted::inner")
    }

    fn on<B: DeviceBackend>(&self, operation: &'static str, engine: &Engine) -> Result<&bfv::Ciphertext<B>> {
        self.0.for_device(operation, engine.device())
    }
}

/// A fresh ciphertext on its way to the server: half the bytes, since its second half is a seed.
pub struct Upload {
    inner: Placed<OfSeeded>,
    bytes: usize,
}

impl Upload {
    /// Bytes of residues and seed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The ciphertext, on the server's device.
    pub fn receive(&self, engine: &Engine) -> Result<Encrypted> {
        on!(&engine.bfv.any, bfv => {
            let inner: &bfv::SeededCiphertext<_> = self.inner.for_device("receive", engine.device())?;
            Ok(Encrypted(Placed::new(engine.device(), inner.expand(bfv.context())?)))
        })
    }

    /// The ciphertext of the BFV layer.
    pub fn inner<B: DeviceBackend>(&self) -> Result<&bfv::SeededCiphertext<B>> {
        self.inner.typed("Upload::inner")
    }
}

/// Evaluation keys on their way to the server: half the bytes, since their second halves are seeds.
pub struct SentKeys {
    inner: Placed<OfSeededKeys>,
    bytes: usize,
}

impl SentKeys {
    /// How many keys.
    pub fn count(&self) -> usize {
        on!(&self.inner.any, keys => keys.count())
    }

    /// Bytes of residues and seeds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The keys of the layer below.
    pub fn inner<B: DeviceBackend>(&self) -> Result<&SeededEvaluationKeys<B>> {
        self.inner.typed("SentKeys::inner")
    }
}

/// The side that holds the secret.
pub struct Client {
    engine: Engine,
    side: Placed<OfClients>,
}

impl Client {
    /// A fresh secret from the operating system's randomness.
    pub fn generate(engine: &Engine) -> Result<Self> {
        let side = on!(&engine.bfv.any, bfv => {
            let secret = SecretKey::generate(bfv.context())?;
            let bfv = bfv.as_ref().clone();
            Placed::new(engine.device(), ClientSide { bfv, secret })
        });
        Ok(Self {
            engine: engine.clone(),
            side,
        })
    }

    /// Encrypts up to 2 `columns` integers within +-t/2, the first row first; those that are left out are 0.
    pub fn encrypt(&self, values: &[i64]) -> Result<Upload> {
        on!(&self.side.any, side => {
            let values = side.bfv.residues("encrypt", values)?;
            let top = side.bfv.params().top();
            let sent = side.bfv.encrypt(&side.secret, Packing::Slots, &values, 1, top)?;
            Ok(Upload {
                bytes: sent.bytes(side.bfv.context()),
                inner: Placed::new(self.engine.device(), sent),
            })
        })
    }

    /// Decrypts all 2 `columns` integers, for the owner of the key alone.
    pub fn decrypt(&self, ct: &Encrypted) -> Result<Vec<i64>> {
        self.release(ct, Release::Owner)
    }

    /// Decrypts all 2 `columns` integers for whom the policy says, if it allows that.
    pub fn release(&self, ct: &Encrypted, release: Release) -> Result<Vec<i64>> {
        on!(&self.side.any, side => {
            let ct = ct.on("decrypt", &self.engine)?;
            let decrypted = side.bfv.decrypt(&side.secret, Packing::Slots, ct)?;
            Ok(decrypted.release_centred(release)?)
        })
    }

    /// The keys that a server needs for a computation, to be sent once.
    pub fn evaluation_keys(&self, needs: &KeyNeeds) -> Result<SentKeys> {
        on!(&self.side.any, side => {
            let keys = side.secret.evaluation_keys(needs)?;
            Ok(SentKeys {
                bytes: keys.bytes(side.bfv.context()),
                inner: Placed::new(self.engine.device(), keys),
            })
        })
    }
}

/// What the server computes with: evaluation keys, no secret.
pub struct ServerKeys {
    engine: Engine,
    side: Placed<OfServers>,
}

/// An operation of the evaluator on ciphertexts of this device.
macro_rules! evaluate {
    ($self:ident, $name:literal, $($x:ident),+ => |$ev:ident, $side:ident| $result:expr) => {
        on!(&$self.side.any, $side => {
            let $ev = Evaluator::new(&$side.bfv, &$side.keys);
            $(let $x = $x.on($name, &$self.engine)?;)+
            Ok(Encrypted(Placed::new($self.engine.device(), $result)))
        })
    };
}

impl ServerKeys {
    /// The keys that a client sent.
    pub fn new(engine: &Engine, keys: &SentKeys) -> Result<Self> {
        let side = on!(&engine.bfv.any, bfv => {
            let sent: &SeededEvaluationKeys<_> = keys.inner.for_device("ServerKeys::new", engine.device())?;
            let (keys, bfv) = (sent.expand(bfv.context())?, bfv.as_ref().clone());
            Placed::new(engine.device(), ServerSide { bfv, keys })
        });
        Ok(Self {
            engine: engine.clone(),
            side,
        })
    }

    /// All operations of the BFV layer, for code that knows its backend or is written for any ([`Device::run`]).
    pub fn evaluator<B: DeviceBackend>(&self) -> Result<Evaluator<'_, B>> {
        let side = self.side.typed("evaluator")?;
        Ok(Evaluator::new(&side.bfv, &side.keys))
    }

    /// a + b.
    pub fn add(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "add", a, b => |ev, side| ev.add(a, b)?)
    }

    /// a - b.
    pub fn sub(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "sub", a, b => |ev, side| ev.sub(a, b)?)
    }

    /// a b with three components: sum as many as you like before `relinearise`.
    pub fn mul(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "mul", a, b => |ev, side| ev.mul(a, b)?)
    }

    /// Back to two components.
    pub fn relinearise(&self, a: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "relinearise", a => |ev, side| ev.relinearise(a)?)
    }

    /// a + p for integers known to the server.
    pub fn add_plain(&self, a: &Encrypted, p: &[i64]) -> Result<Encrypted> {
        evaluate!(self, "add_plain", a => |ev, side| {
            let p = side.bfv.residues("add_plain", p)?;
            ev.add_plain(a, &side.bfv.addend(Packing::Slots, &p, 1, a.level())?)?
        })
    }

    /// a p, slot by slot, for integers known to the server.
    pub fn mul_plain(&self, a: &Encrypted, p: &[i64]) -> Result<Encrypted> {
        evaluate!(self, "mul_plain", a => |ev, side| {
            let p = side.bfv.residues("mul_plain", p)?;
            ev.mul_plain(a, &side.bfv.factor(Packing::Slots, &p, 1, a.level())?)?
        })
    }

    /// a + c for one integer in every slot.
    pub fn add_integer(&self, a: &Encrypted, c: i64) -> Result<Encrypted> {
        evaluate!(self, "add_integer", a => |ev, side| {
            ev.add_integer(a, side.bfv.residue("add_integer", 0, c)?)?
        })
    }

    /// c a for one integer.
    pub fn mul_integer(&self, a: &Encrypted, c: i64) -> Result<Encrypted> {
        evaluate!(self, "mul_integer", a => |ev, side| {
            ev.mul_integer(a, side.bfv.residue("mul_integer", 0, c)?)?
        })
    }

    /// Both rows rotated left by `k` columns.
    pub fn rotate(&self, a: &Encrypted, k: i64) -> Result<Encrypted> {
        evaluate!(self, "rotate", a => |ev, side| ev.rotate_columns(a, k)?)
    }

    /// The two rows swapped.
    pub fn swap_rows(&self, a: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "swap_rows", a => |ev, side| ev.swap_rows(a)?)
    }

    /// The sum of all slots, in every slot; the keys are those of [`bfv::sum_keys`].
    pub fn sum(&self, a: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "sum", a => |ev, side| ev.sum_slots(a)?)
    }

    /// W x for a matrix known to the server, for the vector in each row; the keys are those of [`Matrix::keys`].
    pub fn mul_matrix(&self, w: &Matrix, x: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "mul_matrix", x => |ev, side| ev.mul_matrix(w, x)?)
    }

    /// At a lower level: shorter and faster from here on.
    pub fn switch_to(&self, a: &Encrypted, level: Level) -> Result<Encrypted> {
        evaluate!(self, "switch_to", a => |ev, side| ev.switch_to(a, level)?)
    }
}
