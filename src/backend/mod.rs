#![doc = include_str!("contract.md")]

pub(crate) mod clock;
pub mod conformance;
#[cfg(feature = "fallback")]
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod derived;
#[cfg(feature = "fallback")]
pub mod device;
#[cfg(any(feature = "fallback", feature = "cuda", feature = "wgpu"))]
mod kept;
mod memory;
pub mod null;
pub mod oracle;
pub(crate) mod part;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod prime;
mod shared;
#[cfg(feature = "wgpu")]
pub mod wgpu;

#[cfg(any(feature = "cuda", feature = "wgpu"))]
use memory::of_items;
pub(crate) use memory::primes_of;
pub use memory::{Mut, Ref, Row, Span, compact};
pub use part::Part;
pub use shared::{Owners, Shared};

#[cfg(any(feature = "fallback", feature = "cuda", feature = "wgpu"))]
use kept::Kept;

use crate::{
    arith::{Complex, Double, EmbedError, Embedding},
    ring::{Basis, Conversion, Crt, CrtError, Galois, Scale, Step},
    sample::PublicSeed,
};

/// What can go wrong below the checks of the layers above.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The device has no room.
    #[error("out of device memory: {wanted} bytes wanted, {free} free; use fewer items or truncated keys")]
    OutOfMemory {
        /// Bytes of the allocation that failed.
        wanted: usize,
        /// Bytes that were left.
        free: usize,
    },
    /// The device failed; everything on this queue is lost.
    #[error("the device was lost: {reason}; start a new backend and load the keys again")]
    Lost {
        /// What the driver said.
        reason: String,
    },
    /// The backend cannot do this.
    #[error("this backend does not support {need}")]
    Unsupported {
        /// The missing ability.
        need: &'static str,
    },
}

/// Result of a backend operation.
pub type Result<T> = std::result::Result<T, BackendError>;

/// What a backend is and has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Short name: `cpu`, `cuda`, `wgpu`, `oracle`, `null`.
    pub name: &'static str,
    /// The device in words.
    pub device: String,
    /// Whether results are real (the counting backend computes nothing).
    pub computes: bool,
}

/// Integers to lift into residue rows: `N / gap` of them per polynomial, `gap` = N / length, coefficient k at k gap.
#[derive(Clone, Copy, Debug)]
pub enum Integers<'a> {
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers.
    I64(&'a [i64]),
    /// 128-bit integers.
    I128(&'a [i128]),
}

impl Integers<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::I128(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An `outputs x inputs` matrix of small integers, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// Rows of the matrix: items of the result.
    pub outputs: usize,
    /// Columns of the matrix: items of the operand.
    pub inputs: usize,
    /// The entries.
    pub entries: Entries<'a>,
}

/// Entries of a [`Matrix`].
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// 8-bit weights.
    I8(&'a [i8]),
    /// 16-bit weights.
    I16(&'a [i16]),
}

impl Entries<'_> {
    /// Entry `i` in row-major order.
    #[inline(always)]
    pub fn get(&self, i: usize) -> i16 {
        match self {
            Self::I8(v) => i16::from(v[i]),
            Self::I16(v) => v[i],
        }
    }
}

/// Polynomial arithmetic on rows of residues; the contract is this module's page.
///
/// The first methods are required. Those with a body are derived: the body, a function of [`derived`], is the
/// definition, and a backend overrides it to fuse. `dst` and operands have equal items, polynomials and rows (primes in the same
/// order) unless a method says otherwise. Domain: E evaluations, C coefficients.
pub trait Backend: Send + Sync + Sized + 'static {
    /// Opaque memory.
    type Buffer: Send + Sync;
    /// Everything about a basis: moduli, twiddles, permutations.
    type Tables: Send + Sync;
    /// A [`Conversion`], prepared.
    type Conversion: Send + Sync;
    /// A key-switching key in the form that suits the device.
    type Key: Send + Sync;

    /// What this backend is.
    fn capabilities(&self) -> Capabilities;
    /// Memory for `rows` rows of N = 2^log_n words, holding anything.
    fn alloc(&self, log_n: u32, rows: usize) -> Result<Self::Buffer>;
    /// Canonical rows from the host, in the order of the span.
    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()>;
    /// Rows to the host, in the order of the span.
    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()>;
    /// dst = src.
    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()>;
    /// dst = 0.
    fn zero(&self, dst: Mut<Self>) -> Result<()>;
    /// Prepares a basis.
    fn tables(&self, basis: &Basis) -> Result<Self::Tables>;
    /// log2 of the ring degree of prepared tables.
    fn log_n(&self, t: &Self::Tables) -> u32;
    /// Prepares the constants of a conversion.
    fn conversion(&self, t: &Self::Tables, constants: &Conversion) -> Result<Self::Conversion>;
    /// Waits for everything submitted.
    fn wait(&self) -> Result<()>;
    /// Gives memory that no buffer uses back, where the backend keeps it for later: what large objects leave behind that are gone for good.
    fn trim(&self) {}
    /// Whether work is recorded now instead of done: results have no values until the recording is replayed.
    fn is_recording(&self) -> bool {
        false
    }

    /// dst += src.
    fn add(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()>;
    /// dst -= src.
    fn sub(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()>;
    /// dst = -dst.
    fn neg(&self, t: &Self::Tables, dst: Mut<Self>) -> Result<()>;
    /// dst = a b pointwise (E).
    fn mul(&self, t: &Self::Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()>;
    /// dst += a b pointwise (E).
    fn mul_add(&self, t: &Self::Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()>;
    /// dst = c src; `c` holds one residue a row, for all items or for each item in turn.
    fn mul_const(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()>;
    /// dst += c src; `c` as for `mul_const`.
    fn mul_const_add(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()>;
    /// dst += c in every position (E: a constant polynomial); `c` as for `mul_const`.
    fn add_const(&self, t: &Self::Tables, dst: Mut<Self>, c: &[u32]) -> Result<()>;
    /// dst *= X^(N/2) (E), which multiplies every slot by i.
    fn mul_i(&self, t: &Self::Tables, dst: Mut<Self>) -> Result<()>;
    /// dst = sigma_g(src) (E); one Galois element for all items, or one an item.
    fn permute(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()>;
    /// C -> E in place.
    fn ntt(&self, t: &Self::Tables, dst: Mut<Self>) -> Result<()>;
    /// E -> C in place.
    fn intt(&self, t: &Self::Tables, dst: Mut<Self>) -> Result<()>;
    /// Integers -> residues (C); the polynomials of all items one after the other, equally many integers each.
    fn lift(&self, t: &Self::Tables, dst: Mut<Self>, values: Integers) -> Result<()>;
    /// dst rows (the targets, in order) from src rows (the sources, in order) (C).
    fn convert(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, c: &Self::Conversion) -> Result<()>;
    /// Uniform rows: item i from `seeds[i]`, its polynomial j from stream `label + j`.
    fn expand(&self, t: &Self::Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()>;
    /// A key for `key_inner_product` from canonical rows (E): one item a digit, two polynomials (b, a).
    fn prepare(&self, t: &Self::Tables, key: Ref<Self>) -> Result<Self::Key>;
    /// dst (2 polynomials) = sum over j of src polynomial j times digit `digits[j]` of the key (E).
    ///
    /// One key for all items or one an item; rows are matched by prime, so the key may have more rows and digits.
    fn key_inner_product(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&Self::Key],
    ) -> Result<()>;
    /// dst item o = sum over i of `weights[o][i]` src item i.
    fn gemm(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()>;

    /// dst (3 polynomials) = a b for a, b of 2 polynomials (E): (a0 b0, a0 b1 + a1 b0, a1 b1), summed over the `terms`
    /// consecutive items of a and b that belong to one item of dst.
    fn tensor(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        derived::tensor(self, t, dst, a, b, terms)
    }
    /// dst item r C + c = sum over j < `terms` of a item r `terms` + j times b item c `terms` + j (E): rows of a times columns of b,
    /// C = b's items / `terms` of them. b has one polynomial an item, which every polynomial of a is multiplied by.
    fn block_product(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        derived::block_product(self, t, dst, a, b, terms)
    }
    /// log2 of the words of a row that [`sparse`](Self::sparse) makes of `length` integers.
    fn sparse_log_n(&self, t: &Self::Tables, _length: usize) -> u32 {
        self.log_n(t)
    }
    /// Polynomials in X^gap (E) modulo the primes of `rows`, as [`sparse_product`](Self::sparse_product) multiplies by them: one an
    /// item, from `values` as `lift` takes them, at least two integers each. Their evaluations repeat gap times, and a backend may keep
    /// them once; nothing else reads what this returns, `[item][row]`.
    fn sparse(&self, t: &Self::Tables, rows: &[Row], items: usize, values: Integers) -> Result<Self::Buffer> {
        derived::sparse(self, t, rows, items, values)
    }
    /// [`block_product`](Self::block_product) with a b that `sparse` made.
    fn sparse_product(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        a: Ref<Self>,
        b: Ref<Self>,
        terms: usize,
    ) -> Result<()> {
        derived::sparse_product(self, t, dst, a, b, terms)
    }
    /// Polynomials in X^gap with 32-bit coefficients in memory of the device, as [`light_product`](Self::light_product) multiplies by them:
    /// `count` of them, from `values` as `lift` takes them, `length` each, a power of two up to N. Nothing else reads what this returns.
    fn light(&self, count: usize, length: usize, values: &[i32]) -> Result<Self::Buffer> {
        derived::light(self, count, length, values)
    }
    /// dst = sum over the terms of a of term j times polynomial j of b (E): the sum of [`mul_accumulate`](Self::mul_accumulate) with
    /// plaintexts that are expanded where they are used. Every term is shaped as dst, whose items and polynomials a plaintext serves alike.
    fn light_product(&self, t: &Self::Tables, dst: Mut<Self>, a: &[Ref<Self>], b: Light<Self>) -> Result<()> {
        derived::light_product(self, t, dst, a, b)
    }
    /// dst (E) = the polynomials with these first coefficients, all further ones zero: equally many for each polynomial, a power
    /// of two up to N, those of all items one after the other.
    fn evaluate(&self, t: &Self::Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        derived::evaluate(self, t, dst, values)
    }
    /// dst += sigma_g(src) (E).
    fn permute_add(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        derived::permute_add(self, t, dst, src, g)
    }
    /// dst = sum over terms of a b pointwise (E), onto zero or onto what dst holds.
    ///
    /// Every factor is a view shaped as dst: the terms may be items of one operand, a plaintext may serve all items or
    /// polynomials, and with the extended rows of a level the sum is one of a double-hoisted transform.
    fn mul_accumulate(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Product<Self>],
    ) -> Result<()> {
        derived::mul_accumulate(self, t, dst, onto, terms)
    }
    /// dst = sum over terms of sigma(src) (E), onto zero or onto what dst holds: rotate-and-accumulate.
    fn permute_accumulate(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        onto: Onto,
        terms: &[Moved<Self>],
    ) -> Result<()> {
        derived::permute_accumulate(self, t, dst, onto, terms)
    }
    /// The digits of src (E, one polynomial an item), extended (E): dst polynomial j holds digit j modulo every row of dst.
    fn mod_up(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[DigitStep<Self>],
    ) -> Result<()> {
        derived::mod_up(self, t, dst, src, digits)
    }
    /// dst = round(src prod(A) / prod(R)) (E): rescaling, ModDown, or both at once, as the step says.
    fn step(&self, t: &Self::Tables, dst: Mut<Self>, src: Ref<Self>, s: &BasisStep<Self>) -> Result<()> {
        derived::step(self, t, dst, src, s)
    }
    /// dst (2 polynomials, E) = a step of sigma(c addend + sum over digits of src (E, one polynomial an item) times key): a key
    /// switch from its beginning to its end, [`KeySwitch`] tells what the letters are.
    fn key_switch(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        derived::key_switch(self, t, dst, src, addend, k)
    }
    /// `key_switch` from extended digits (`mod_up`; one polynomial a digit), which several switches may share.
    fn switch_digits(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        digits: Ref<Self>,
        addend: Ref<Self>,
        k: &KeySwitch<Self>,
    ) -> Result<()> {
        derived::switch_digits(self, t, dst, digits, addend, k)
    }
    /// Slots -> rounded coefficients at `scale` -> residues (C): `slots` holds equally many for each item.
    fn embed(
        &self,
        t: &Self::Tables,
        dst: Mut<Self>,
        embedding: &Embedding,
        slots: &[Complex],
        scale: Double,
    ) -> std::result::Result<(), EncodeError> {
        derived::embed(self, t, dst, embedding, slots, scale)
    }
    /// Residues (C, one polynomial an item) -> slots: the centred integers over `scale`, transformed; equally many slots for
    /// each item. `crt` holds the primes of the rows. Exact to 2^-44 of the largest slot, not to the bit.
    fn decode(
        &self,
        t: &Self::Tables,
        src: Ref<Self>,
        embedding: &Embedding,
        crt: &Crt,
        scale: &Scale,
        slots: &mut [Complex],
    ) -> std::result::Result<(), EncodeError> {
        derived::decode(self, t, src, embedding, crt, scale, slots)
    }
}

/// Why slots could not be encoded, or decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The values do not fit.
    #[error(transparent)]
    Values(#[from] EmbedError),
    /// The residues are of other primes, or not canonical.
    #[error(transparent)]
    Residues(#[from] CrtError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What a sum of terms is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Zero: the destination may hold anything.
    Zero,
    /// What the destination holds.
    Destination,
}

/// Polynomials that [`Backend::light`] made.
pub struct Light<'a, B: Backend> {
    /// The memory.
    pub buffer: &'a B::Buffer,
    /// The polynomial of the first term; those of the others follow.
    pub first: usize,
    /// Integers of a polynomial: coefficient k N / length is integer k.
    pub length: usize,
}

impl<B: Backend> Clone for Light<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Light<'_, B> {}

/// A term of [`Backend::mul_accumulate`]: a b, both shaped as the destination.
pub struct Product<'a, B: Backend> {
    /// One factor.
    pub a: Ref<'a, B>,
    /// The other; a plaintext for all polynomials has a stride of zero along them.
    pub b: Ref<'a, B>,
}

impl<B: Backend> Clone for Product<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Product<'_, B> {}

/// A term of [`Backend::permute_accumulate`]: sigma(src), shaped as the destination.
pub struct Moved<'a, B: Backend> {
    /// What is moved.
    pub src: Ref<'a, B>,
    /// sigma, for all items.
    pub element: Galois,
}

impl<B: Backend> Clone for Moved<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Moved<'_, B> {}

/// A [`Step`] with its conversion prepared.
pub struct BasisStep<B: Backend> {
    /// The constants.
    pub step: Step,
    /// The prepared conversion of the removed rows.
    pub conversion: B::Conversion,
}

/// One digit of a key switch at one level.
pub struct DigitStep<B: Backend> {
    /// Which digit of the key.
    pub digit: u32,
    /// Prime indices of the digit at this level.
    pub sources: Vec<u32>,
    /// Prime indices of all other rows of the extended basis.
    pub targets: Vec<u32>,
    /// The prepared conversion from the sources to the targets.
    pub conversion: B::Conversion,
}

/// A key switch at one level.
pub struct KeySwitch<'a, B: Backend> {
    /// The digits, those of the level.
    pub digits: &'a [DigitStep<B>],
    /// The rows of extended digits and of sums: the level's primes, then the special ones.
    pub extended: &'a [Row],
    /// One key for all items, or one an item.
    pub keys: &'a [&'a B::Key],
    /// c: one residue for each row of the addend. Its rows are some of the extended ones, it has one or two polynomials, and what it
    /// lacks of either is zero.
    pub factor: &'a [u32],
    /// sigma: one Galois element for all items, or one an item.
    pub elements: &'a [Galois],
    /// The division of the sums; without one the result is the sums as they are, modulo the extended rows.
    pub step: Option<&'a BasisStep<B>>,
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
impl<B: Backend> KeySwitch<'_, B> {
    /// That of the items from `first` on.
    fn slice_items(&self, first: usize, items: usize) -> Self {
        Self {
            keys: of_items(self.keys, first, items),
            elements: of_items(self.elements, first, items),
            ..*self
        }
    }
}
