//! The facade for those who embed the crate: [`Engine`], [`Client`], [`ServerKeys`]. Not generic, `Send + Sync`, no globals.
//!
//! The engine picks a device once ([`Engine::auto`], [`Engine::open`], [`Engine::on`]), and each call is matched to its backend
//! once: programs written against this module are the same for the CPU and every GPU, and so are their results, to the bit.
//! Operations stay honest: nothing rescales or relinearises by itself. What is here computes on approximate complex numbers
//! (CKKS); [`integers`] has the same for exact integers (BFV).

mod error;
pub mod integers;
mod placed;

use std::path::Path;

pub use error::EngineError;

use placed::Placed;

use crate::{
    arith::Complex,
    backend::{
        Backend,
        device::{Device, DeviceBackend, DeviceOptions, Family, on},
    },
    ckks::{self, Ckks, Evaluator, Release},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys},
    wire::{self, Existing, KeyFile, Name, Stamp, WireError},
};

/// Result of an operation of the facade.
pub type Result<T> = std::result::Result<T, EngineError>;

struct OfCkks;
struct OfCiphertexts;
struct OfSeeded;
struct OfClients;
struct OfServers;

impl Family for OfCkks {
    type On<B: Backend> = Ckks<B>;
}
impl Family for OfCiphertexts {
    type On<B: Backend> = ckks::Ciphertext<B>;
}
impl Family for OfSeeded {
    type On<B: Backend> = ckks::SeededCiphertext<B>;
}
impl Family for OfClients {
    type On<B: Backend> = ClientSide<B>;
}
impl Family for OfServers {
    type On<B: Backend> = ServerSide<B>;
}

/// What a client holds on a backend.
struct ClientSide<B: Backend> {
    ckks: Ckks<B>,
    secret: SecretKey<B>,
}

/// What a server holds on a backend.
struct ServerSide<B: Backend> {
    ckks: Ckks<B>,
    seeded: SeededEvaluationKeys<B>,
    keys: EvaluationKeys<B>,
}

/// A parameter set on a device. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    ckks: Placed<OfCkks>,
    params: Params,
}

impl Engine {
    /// On the fastest device that works here ([`Device::auto`]).
    pub fn auto(params: Params) -> Result<Self> {
        Self::on(&Device::auto(), params)
    }

    /// On the device that is asked for: a [`BackendChoice`](crate::backend::device::BackendChoice), read from `cpu` or `cuda:1`
    /// or made by the program, alone or [`within`](crate::backend::device::BackendChoice::within) a budget of its memory.
    pub fn open(choice: impl Into<DeviceOptions>, params: Params) -> Result<Self> {
        Self::on(&Device::open(choice)?, params)
    }

    /// On a device that is open: several engines may share one.
    pub fn on(device: &Device, params: Params) -> Result<Self> {
        let ckks = on!(device.any(), backend => {
            let ctx = Context::new(backend.as_ref().clone(), params.clone())?;
            Placed::new(device, Ckks::new(&ctx))
        });
        Ok(Self { ckks, params })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The device, and why it is this one.
    pub fn device(&self) -> &Device {
        &self.ckks.device
    }

    /// Complex numbers in a full ciphertext, N/2.
    pub fn slots(&self) -> usize {
        self.params.degree() / 2
    }

    /// The key names that this engine's parameters know, to be filled in.
    pub fn key_needs(&self) -> KeyNeeds {
        KeyNeeds::new(&self.params)
    }

    /// The CKKS layer below, for everything that the facade does not wrap: for code that knows its backend, or is written for any
    /// ([`Device::run`]).
    pub fn ckks<B: DeviceBackend>(&self) -> Result<&Ckks<B>> {
        self.ckks.typed("ckks")
    }
}

/// Ciphertexts that a client sent, or that a server computed: `items` vectors of `slots` complex numbers.
#[derive(Clone)]
pub struct Encrypted(Placed<OfCiphertexts>);

impl Encrypted {
    /// A result of the CKKS layer, on the device of the engine.
    pub fn new<B: DeviceBackend>(engine: &Engine, inner: ckks::Ciphertext<B>) -> Result<Self> {
        engine.ckks.typed::<B>("Encrypted::new")?;
        Ok(Self(Placed::new(engine.device(), inner)))
    }

    /// The level; every rescale goes one down.
    pub fn level(&self) -> Level {
        on!(&self.0.any, ct => ct.level())
    }

    /// log2 of the scale.
    pub fn scale_log2(&self) -> f64 {
        on!(&self.0.any, ct => ct.scale().log2())
    }

    /// Number of vectors.
    pub fn items(&self) -> usize {
        on!(&self.0.any, ct => ct.items())
    }

    /// The ciphertext of the CKKS layer.
    pub fn inner<B: DeviceBackend>(&self) -> Result<&ckks::Ciphertext<B>> {
        self.0.typed("Encrypted::inner")
    }

    fn on<B: DeviceBackend>(&self, operation: &'static str, engine: &Engine) -> Result<&ckks::Ciphertext<B>> {
        self.0.for_device(operation, engine.device())
    }
}

/// Fresh ciphertexts on their way to the server: half the bytes, since their second halves are seeds.
pub struct Upload {
    inner: Placed<OfSeeded>,
    bytes: usize,
    key: Name,
}

impl Upload {
    /// Bytes of residues and seeds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The message for [`ServerKeys::receive`].
    pub fn to_bytes(&self, engine: &Engine) -> Result<Vec<u8>> {
        on!(&engine.ckks.any, ckks => {
            let inner = self.inner.for_device("to_bytes", engine.device())?;
            Ok(wire::to_bytes(inner, ckks.context(), stamp(self.key))?)
        })
    }

    /// The ciphertexts, on the server's device.
    pub fn receive(&self, engine: &Engine) -> Result<Encrypted> {
        on!(&engine.ckks.any, ckks => {
            let inner = self.inner.for_device("receive", engine.device())?;
            let expanded: ckks::Ciphertext<_> = ckks::SeededCiphertext::expand(inner, ckks.context())?;
            Ok(Encrypted(Placed::new(engine.device(), expanded)))
        })
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
    side: Placed<OfClients>,
    key: Name,
}

impl Client {
    /// A fresh secret from the operating system's randomness.
    pub fn generate(engine: &Engine) -> Result<Self> {
        let (side, key) = on!(&engine.ckks.any, ckks => {
            let secret = SecretKey::generate(ckks.context())?;
            let (key, ckks) = (Name(secret.name()), ckks.as_ref().clone());
            (Placed::new(engine.device(), ClientSide { ckks, secret }), key)
        });
        Ok(Self {
            engine: engine.clone(),
            side,
            key,
        })
    }

    /// Encrypts `items` vectors of equally many numbers (a power of two up to N/2 each) at the highest level.
    pub fn encrypt(&self, values: &[Complex], items: usize) -> Result<Upload> {
        let top = self.engine.params().top();
        on!(&self.side.any, side => {
            let sent = side.ckks.encrypt(&side.secret, values, items, top)?;
            Ok(Upload {
                bytes: sent.bytes(side.ckks.context()),
                inner: Placed::new(self.engine.device(), sent),
                key: self.key,
            })
        })
    }

    /// Encrypts one vector of real numbers (a power of two up to N/2 of them) at the highest level.
    pub fn encrypt_real(&self, values: &[f64]) -> Result<Upload> {
        let values: Vec<Complex> = values.iter().map(|v| Complex::from(*v)).collect();
        self.encrypt(&values, 1)
    }

    /// The name of the secret, which messages carry.
    pub fn key(&self) -> Name {
        self.key
    }

    /// An answer of [`ServerKeys::answer`], checked in all its parts.
    pub fn receive(&self, answer: &[u8]) -> Result<Encrypted> {
        on!(&self.side.any, side => {
            let (inner, stamp): (ckks::Ciphertext<_>, Stamp) = wire::from_bytes(answer, side.ckks.context())?;
            check_owner(stamp.key, self.key)?;
            Ok(Encrypted(Placed::new(self.engine.device(), inner)))
        })
    }

    /// Decrypts every vector, one after the other, for the owner of the key alone: the noise of exact results depends on it.
    pub fn decrypt(&self, ct: &Encrypted) -> Result<Vec<Complex>> {
        self.release(ct, Release::Owner)
    }

    /// Decrypts every vector for whom the policy says, after what it says.
    pub fn release(&self, ct: &Encrypted, release: Release) -> Result<Vec<Complex>> {
        on!(&self.side.any, side => {
            let ct = ct.on("decrypt", &self.engine)?;
            Ok(side.ckks.decrypt(&side.secret, ct)?.release(release)?)
        })
    }

    /// The keys that a server needs for a computation, to be sent once.
    pub fn server_keys(&self, needs: &KeyNeeds) -> Result<ServerKeys> {
        on!(&self.side.any, side => {
            let seeded = side.secret.evaluation_keys(needs)?;
            ServerKeys::expand(&self.engine, side.ckks.clone(), seeded, self.key)
        })
    }
}

/// What the server computes with: evaluation keys, no secret.
pub struct ServerKeys {
    engine: Engine,
    side: Placed<OfServers>,
    key: Name,
}

/// An operation of the evaluator on ciphertexts of this device.
macro_rules! evaluate {
    ($self:ident, $name:literal, $($x:ident),+ => |$ev:ident, $side:ident| $result:expr) => {
        on!(&$self.side.any, $side => {
            let $ev = Evaluator::new(&$side.ckks, &$side.keys);
            $(let $x = $x.on($name, &$self.engine)?;)+
            Ok(Encrypted(Placed::new($self.engine.device(), $result)))
        })
    };
}

impl ServerKeys {
    /// Bytes that travel.
    pub fn bytes(&self) -> usize {
        on!(&self.side.any, side => side.seeded.bytes(side.ckks.context()))
    }

    /// The message for [`ServerKeys::from_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let stamp = stamp(self.key);
        on!(&self.side.any, side => Ok(wire::to_bytes(&side.seeded, side.ckks.context(), stamp)?))
    }

    /// The keys that a client sent, checked in all their parts.
    pub fn from_bytes(engine: &Engine, message: &[u8]) -> Result<Self> {
        on!(&engine.ckks.any, ckks => {
            let (seeded, stamp) = wire::from_bytes(message, ckks.context())?;
            Self::expand(engine, ckks.as_ref().clone(), seeded, stamp.key)
        })
    }

    /// Writes the keys to a file; one that is there is kept unless `existing` says otherwise.
    pub fn save(&self, path: &Path, existing: Existing) -> Result<()> {
        let stamp = stamp(self.key);
        on!(&self.side.any, side => {
            Ok(wire::save(path, &side.seeded, side.ckks.context(), stamp, existing)?)
        })
    }

    /// The keys of a file that [`ServerKeys::save`] or the command line program wrote, checked in all their parts.
    pub fn load(engine: &Engine, path: &Path) -> Result<Self> {
        on!(&engine.ckks.any, ckks => {
            let (seeded, stamp) = wire::load(path, ckks.context())?;
            Self::expand(engine, ckks.as_ref().clone(), seeded, stamp.key)
        })
    }

    /// The keys of such a file that a computation needs, and no others: a key file may serve many computations.
    pub fn load_for(engine: &Engine, path: &Path, needs: &KeyNeeds) -> Result<Self> {
        on!(&engine.ckks.any, ckks => {
            let file = KeyFile::open(path, ckks.context())?;
            Self::expand(engine, ckks.as_ref().clone(), file.load(needs)?, file.stamp().key)
        })
    }

    fn expand<B: DeviceBackend>(
        engine: &Engine,
        ckks: Ckks<B>,
        seeded: SeededEvaluationKeys<B>,
        key: Name,
    ) -> Result<Self> {
        let keys = seeded.expand(ckks.context())?;
        let side = ServerSide { ckks, seeded, keys };
        Ok(Self {
            side: Placed::new(engine.device(), side),
            engine: engine.clone(),
            key,
        })
    }

    /// Fresh ciphertexts that the client of these keys sent, checked in all their parts.
    pub fn receive(&self, message: &[u8]) -> Result<Encrypted> {
        on!(&self.side.any, side => {
            let ctx = side.ckks.context();
            let (inner, stamp): (ckks::SeededCiphertext<_>, Stamp) = wire::from_bytes(message, ctx)?;
            check_owner(stamp.key, self.key)?;
            Ok(Encrypted(Placed::new(self.engine.device(), inner.expand(ctx)?)))
        })
    }

    /// The message for [`Client::receive`].
    pub fn answer(&self, result: &Encrypted) -> Result<Vec<u8>> {
        on!(&self.side.any, side => {
            let result = result.on("answer", &self.engine)?;
            Ok(wire::to_bytes(result, side.ckks.context(), stamp(self.key))?)
        })
    }

    /// All operations of the CKKS layer, for code that knows its backend or is written for any ([`Device::run`]).
    pub fn evaluator<B: DeviceBackend>(&self) -> Result<Evaluator<'_, B>> {
        let side = self.side.typed("evaluator")?;
        Ok(Evaluator::new(&side.ckks, &side.keys))
    }

    /// a + b.
    pub fn add(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "add", a, b => |ev, side| ev.add(a, b)?)
    }

    /// a - b.
    pub fn sub(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "sub", a, b => |ev, side| ev.sub(a, b)?)
    }

    /// a b with three components: sum as many as you like before `relinearise_rescale`.
    pub fn mul(&self, a: &Encrypted, b: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "mul", a, b => |ev, side| ev.mul(a, b)?)
    }

    /// a p for numbers known to the server, encoded at the scale of a's level: rescale afterwards.
    pub fn mul_plain(&self, a: &Encrypted, p: &[Complex]) -> Result<Encrypted> {
        evaluate!(self, "mul_plain", a => |ev, side| {
            let scale = side.ckks.scale(a.level())?.clone();
            ev.mul_plain(a, &side.ckks.encode(p, 1, a.level(), &scale)?)?
        })
    }

    /// a + p for numbers known to the server.
    pub fn add_plain(&self, a: &Encrypted, p: &[Complex]) -> Result<Encrypted> {
        evaluate!(self, "add_plain", a => |ev, side| {
            ev.add_plain(a, &side.ckks.encode(p, 1, a.level(), a.scale())?)?
        })
    }

    /// Back to two components and down a level, in one step.
    pub fn relinearise_rescale(&self, a: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "relinearise_rescale", a => |ev, side| ev.relinearise_rescale(a)?)
    }

    /// Down a level.
    pub fn rescale(&self, a: &Encrypted) -> Result<Encrypted> {
        evaluate!(self, "rescale", a => |ev, side| ev.rescale(a)?)
    }

    /// Slots rotated left by `k`.
    pub fn rotate(&self, a: &Encrypted, k: i64) -> Result<Encrypted> {
        evaluate!(self, "rotate", a => |ev, side| ev.rotate(a, k)?)
    }
}
