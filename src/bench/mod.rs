//! Operations to be timed, each with the floor of its time: one set of set-ups for `cipherformer bench ops`, the benchmarks
//! in `benches/` and comparisons with other libraries.
//!
//! A [`Group`] names operations that share a set-up; [`Group::load`] makes their [`Case`]s, which run as often as one likes.
//! [`time`] times one, and [`Ceilings::floor_us`] says what this machine can do at best. How floors are counted is written
//! in [`floor`].

pub(crate) mod attention;
mod bfv;
mod ceilings;
mod ckks;
mod clock;
mod coefficient;
mod field;
pub mod floor;
mod matmul;
mod predict;
#[cfg(feature = "speed")]
mod reference;
#[cfg(feature = "cuda")]
mod sums;
#[cfg(feature = "cuda")]
pub mod traffic;
mod transformer;

pub use attention::{AttentionShape, ColumnAttention, ColumnOperands, DiagonalAttention, DiagonalOperands};
pub use ceilings::Ceilings;
pub use clock::{Times, time, time_on};
pub use coefficient::{Ask, Measured, measure as measure_coefficient};
pub use floor::Work;
pub use matmul::{PlainGemm, ResidueGemm};
pub use predict::Prediction;

use std::rc::Rc;

use crate::{
    arith::ArithError,
    backend::{Backend, BackendError},
    bfv::BfvError,
    ckks::CkksError,
    matmul::{MatmulError, coefficient::CoefficientError},
    model::ModelError,
    ring::ChainError,
    rlwe::{Context, LevelContext, RlweError},
    wire::WireError,
};

/// What a set-up or an operation can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A prime or degree is unusable.
    #[error(transparent)]
    Arith(#[from] ArithError),
    /// The device failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// No chain is as was asked for.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Keys or parameters.
    #[error(transparent)]
    Rlwe(#[from] RlweError),
    /// CKKS.
    #[error(transparent)]
    Ckks(#[from] CkksError),
    /// BFV.
    #[error(transparent)]
    Bfv(#[from] BfvError),
    /// Products of matrices.
    #[error(transparent)]
    Matmul(#[from] MatmulError),
    /// Products in coefficient packing.
    #[error(transparent)]
    Coefficient(#[from] CoefficientError),
    /// Sizes of files.
    #[error(transparent)]
    Wire(Box<WireError>),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Result of a set-up or an operation.
pub type Result<T> = std::result::Result<T, BenchError>;

/// What an operation works on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// log2 of the product of all primes, special ones included.
    pub log_qp: f64,
    /// Rows of one polynomial of a ciphertext.
    pub limbs: usize,
    /// Digits of key switching; 0 where there is none.
    pub digits: usize,
    /// Ciphertexts, or polynomials, that one call works on.
    pub batch: usize,
}

impl Shape {
    /// Of `batch` ciphertexts at a level.
    fn of<B: Backend>(ctx: &Context<B>, level: &LevelContext<B>, batch: usize) -> Self {
        Self {
            log_n: ctx.log_n(),
            log_qp: ctx.params().log2_qp(),
            limbs: level.rows.len(),
            digits: level.digits.len(),
            batch,
        }
    }
}

/// One run of an operation.
type Run = Box<dyn FnMut() -> Result<()>>;

/// An operation on operands that are ready.
pub struct Case {
    /// Its name: `ckks/rotate`.
    pub op: &'static str,
    /// Its parameters.
    pub shape: Shape,
    /// What it cannot do without.
    pub work: Work,
    /// Products of a weight and a residue in one run, for matrix products.
    pub weighted: Option<f64>,
    run: Run,
}

impl Case {
    /// Those of some operations of one shape that `wanted` names, on operands that they share.
    fn chosen(
        ops: &[&'static str],
        wanted: &[&str],
        shape: Shape,
        work: impl Fn(&str) -> Result<Work>,
        run: impl Fn(&str) -> Result<()> + 'static,
    ) -> Result<Vec<Self>> {
        let run = Rc::new(run);
        let case = |op: &&'static str| {
            let (op, run) = (*op, Rc::clone(&run));
            Ok(Self {
                op,
                shape,
                work: work(op)?,
                weighted: None,
                run: Box::new(move || run(op)),
            })
        };
        ops.iter().filter(|op| wanted.contains(*op)).map(case).collect()
    }

    /// Runs it once and waits for the device.
    pub fn run(&mut self) -> Result<()> {
        (self.run)()
    }
}

/// Where a group's parameters come from.
#[derive(Clone, Copy, Debug)]
enum Setup {
    /// Transforms modulo one prime.
    Ntt,
    /// A matrix of small integers times ciphertexts.
    Gemm,
    /// A shipped chain.
    Ckks(&'static str),
    /// The parameters of `bfv::Spec` for this degree.
    Bfv,
    /// An encrypted matrix times a plain one.
    Matmul,
    /// Attention of many requests.
    ColumnAttention,
    /// Attention of one request.
    DiagonalAttention,
    /// The language classifier and its chain.
    Transformer,
}

/// Operations that share parameters.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// log2 of the ring degree.
    pub log_n: u32,
    /// The operations' names.
    pub ops: &'static [&'static str],
    setup: Setup,
}

impl Group {
    const fn new(log_n: u32, ops: &'static [&'static str], setup: Setup) -> Self {
        Self { log_n, ops, setup }
    }

    /// Those of the group's operations that `wanted` names, ready to run; keys that none of them needs are not made.
    pub fn load<B: Backend>(&self, backend: B, wanted: &[&str]) -> Result<Vec<Case>> {
        match self.setup {
            Setup::Ntt => field::transforms(backend, self.log_n, wanted),
            Setup::Gemm => field::gemm(backend, self.log_n),
            Setup::Ckks(chain) => ckks::cases(backend, chain, wanted),
            Setup::Bfv => bfv::cases(backend, self.log_n, wanted),
            Setup::Matmul => matmul::cases(backend, wanted),
            Setup::ColumnAttention => attention::column_case(backend),
            Setup::DiagonalAttention => attention::diagonal_case(backend),
            Setup::Transformer => transformer::cases(backend, wanted),
        }
    }
}

impl Group {
    /// What an A100 would take for the operations that `wanted` names, in the order of [`Group::load`], by the kernels of the CUDA
    /// backend; nothing in a build without it.
    pub fn predict(&self, wanted: &[&str]) -> Result<Vec<Option<Prediction>>> {
        #[cfg(feature = "cuda")]
        {
            let backend = crate::backend::cuda::Cuda::counting();
            let count = |case: &mut Case| {
                backend.launches();
                case.run()?;
                Ok(Some(Prediction::new(&backend.launches())))
            };
            self.load(backend.clone(), wanted)?
                .iter_mut()
                .map(count)
                .collect()
        }
        #[cfg(not(feature = "cuda"))]
        Ok(vec![None; wanted.len()])
    }
}

/// All groups, in the order of a report.
pub const GROUPS: &[Group] = &[
    Group::new(12, field::TRANSFORMS, Setup::Ntt),
    Group::new(13, field::TRANSFORMS, Setup::Ntt),
    Group::new(14, field::TRANSFORMS, Setup::Ntt),
    Group::new(15, field::TRANSFORMS, Setup::Ntt),
    Group::new(16, field::TRANSFORMS, Setup::Ntt),
    Group::new(14, field::GEMM, Setup::Gemm),
    Group::new(14, ckks::OPS, Setup::Ckks("n14_rational45_l5_d3")),
    Group::new(15, ckks::OPS, Setup::Ckks("n15_pair55_l10_d3")),
    Group::new(16, ckks::OPS, Setup::Ckks("n16_pair55_l21_d3")),
    Group::new(13, bfv::OPS, Setup::Bfv),
    Group::new(14, bfv::OPS, Setup::Bfv),
    Group::new(12, matmul::OPS, Setup::Matmul),
    Group::new(14, attention::COLUMN, Setup::ColumnAttention),
    Group::new(14, attention::DIAGONAL, Setup::DiagonalAttention),
    Group::new(14, transformer::OPS, Setup::Transformer),
];

/// Gives the CPU backend `threads` threads, the calling one among them, for the rest of the process: an operation then starts
/// without waking another thread. False when rayon has its threads already.
pub fn use_threads(threads: usize) -> bool {
    (rayon::ThreadPoolBuilder::new().num_threads(threads))
        .use_current_thread()
        .build_global()
        .is_ok()
}

/// How slow this machine is at the moment, as the least time of a peer's forward transform (crate `tfhe-ntt`, one 30-bit prime, N = 2^14, one
/// thread) over 9.1 us, what it takes on the machine of reference. `None` without the feature `speed`.
pub fn slowness() -> Option<f64> {
    #[cfg(feature = "speed")]
    return reference::slowness();
    #[cfg(not(feature = "speed"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::null::Null;

    /// Formulas stay below what the implementation of today does, and are not far below it.
    #[test]
    fn floors_are_what_the_counting_backend_sees() {
        for group in GROUPS.iter().filter(|g| g.log_n < 15) {
            let backend = Null::new();
            for mut case in group.load(backend.clone(), group.ops).unwrap() {
                backend.reset();
                case.run().unwrap();
                let counts = backend.counts();
                let (counted, moved) = (counts.products as f64, counts.traffic_bytes() as f64);
                let (op, least, bytes) = (case.op, case.work.products, case.work.bytes);
                // Decryption lifts residues on the host, and slots of integers are the host's too: nobody counts those.
                let host = ["ckks/decrypt_decode", "bfv/encode", "bfv/encrypt"].contains(&op);
                assert!(
                    host || least <= counted * 1.000_001,
                    "{op}: {least} products above {counted}"
                );
                assert!(
                    host || least >= counted * 0.5,
                    "{op}: {least} products far below {counted}"
                );
                assert!(bytes <= moved * 1.000_001, "{op}: {bytes} bytes above {moved}");
            }
        }
    }
}
