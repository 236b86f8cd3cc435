//! Traffic of sums of many terms, straight on the backend: products with plaintexts, ready and light, moved polynomials, and products of rotated operands with
//! the diagonals of a matrix, in full rows and sparse.

use super::{BenchError, Result, floor::Ring, traffic::Traffic};
use crate::{
    arith::ntt_primes,
    backend::{
        Backend, Integers, Light, Moved, Mut, Onto, Product, Ref, Row, Span, compact, conformance::Opaque,
        cuda::Cuda,
    },
    ring::{Basis, Galois},
};

const LOG_N: u32 = 16;
/// Rows of a polynomial.
const ROWS: usize = 28;
/// Terms of a sum.
const TERMS: usize = 16;
/// Baby and giant steps of a matrix, as in `docs/bootstrapping.md`.
const BABIES: usize = 9;
const GIANTS: usize = 7;
/// Diagonals that are polynomials in X^GAP.
const GAP: usize = 32;

/// One of the sums.
#[derive(Clone, Copy)]
enum Sum {
    Products,
    Light,
    Moved,
    Full,
    Sparse,
}

impl Sum {
    const ALL: [Self; 5] = [Self::Products, Self::Light, Self::Moved, Self::Full, Self::Sparse];

    fn name(self) -> String {
        let shape = format!("{ROWS} limbs of N = 2^{LOG_N}");
        match self {
            Self::Products => format!("mul_accumulate, {TERMS} plaintexts, {shape}"),
            Self::Light => format!("light_product, {TERMS} plaintexts of 32-bit integers, {shape}"),
            Self::Moved => format!("permute_accumulate, {TERMS} terms, {shape}"),
            Self::Full => {
                format!(
                    "block_product, {BABIES} baby and {GIANTS} giant steps, diagonals in full rows, {shape}"
                )
            }
            Self::Sparse => {
                format!("sparse_product, the same with diagonals in X^{GAP}, {shape}")
            }
        }
    }

    /// Bytes of distinct operands and results.
    fn floor(self) -> f64 {
        let rows = match self {
            Self::Products => (3 * TERMS + 2) * ROWS,
            Self::Light => 2 * (TERMS + 1) * ROWS + TERMS,
            Self::Moved => 2 * (TERMS + 1) * ROWS,
            Self::Full => (2 * (BABIES + GIANTS) + BABIES * GIANTS) * ROWS,
            Self::Sparse => 2 * (BABIES + GIANTS) * ROWS,
        };
        let ring = Ring::new(LOG_N);
        let sparse = match self {
            Self::Sparse => ring.moved(BABIES * GIANTS * ROWS).bytes / GAP as f64,
            _ => 0.0,
        };
        ring.moved(rows).bytes + sparse
    }
}

/// Memory of the largest sum.
struct Operands<B: Backend> {
    backend: B,
    tables: B::Tables,
    rows: Vec<Row>,
    /// Ciphertexts, and plaintexts in full rows.
    x: B::Buffer,
    plain: B::Buffer,
    sparse: B::Buffer,
    light: B::Buffer,
    sums: B::Buffer,
}

impl<B: Backend> Operands<B> {
    fn new(backend: B) -> Result<Self> {
        let primes: Vec<u32> = ntt_primes(LOG_N, 1 << 28, 1 << 30).take(ROWS).collect();
        let basis = Basis::new(LOG_N, &primes)?;
        let tables = backend.tables(&basis)?;
        let rows = compact(&(0..ROWS as u32).collect::<Vec<_>>());
        let memory = |polys: usize| backend.alloc(LOG_N, polys * ROWS);
        let diagonals = BABIES * GIANTS;
        let values = vec![0; (diagonals << LOG_N) / GAP];
        let sparse = backend.sparse(&tables, &rows, diagonals, Integers::I64(&values));
        Ok(Self {
            x: memory(2 * TERMS)?,
            plain: memory(diagonals)?,
            sums: memory(2 * GIANTS)?,
            sparse: sparse?,
            light: backend.light(TERMS, 1 << LOG_N, &vec![0; TERMS << LOG_N])?,
            rows,
            tables,
            backend,
        })
    }

    fn run(&mut self, sum: Sum) -> Result<()> {
        let (b, t, rows) = (&self.backend, &self.tables, self.rows.as_slice());
        let x = Ref::<B>::new(&self.x, Span::dense(TERMS, 2, rows));
        let diagonals = Span::dense(BABIES * GIANTS, 1, rows);
        let (plain, sparse) = (
            Ref::<B>::new(&self.plain, diagonals),
            Ref::<B>::new(&self.sparse, diagonals),
        );
        let (one, all) = (Span::dense(1, 2, rows), Span::dense(GIANTS, 2, rows));
        let mut sums = Mut::<B>::new(&mut self.sums, all);
        let babies = x.map(|s| s.slice_items(0, BABIES));
        let done = match sum {
            Sum::Products => {
                let term = |i| Product {
                    a: x.map(|s| s.slice_items(i, 1)),
                    b: plain.map(|s| s.slice_items(i, 1).repeat_polys(2)),
                };
                let terms: Vec<Product<B>> = (0..TERMS).map(term).collect();
                b.mul_accumulate(t, sums.part(|_| one), Onto::Zero, &terms)
            }
            Sum::Light => {
                let terms: Vec<Ref<B>> = (0..TERMS).map(|i| x.map(|s| s.slice_items(i, 1))).collect();
                let light = Light {
                    buffer: &self.light,
                    first: 0,
                    length: 1 << LOG_N,
                };
                b.light_product(t, sums.part(|_| one), &terms, light)
            }
            Sum::Moved => {
                let term = |i| Moved {
                    src: x.map(|s| s.slice_items(i, 1)),
                    element: Galois::rotation(i as i64, LOG_N),
                };
                let terms: Vec<Moved<B>> = (0..TERMS).map(term).collect();
                b.permute_accumulate(t, sums.part(|_| one), Onto::Zero, &terms)
            }
            Sum::Full => b.block_product(t, sums, babies, plain, BABIES),
            Sum::Sparse => b.sparse_product(t, sums, babies, sparse, BABIES),
        };
        Ok(done?)
    }
}

/// The traffic of each sum, in one launch and by the derived bodies.
pub(super) fn traffic() -> Result<Vec<Traffic>> {
    let (fused, parts) = (Cuda::counting(), Cuda::counting());
    let mut whole = Operands::new(fused.clone())?;
    let mut unfused = Operands::new(Opaque::new(parts.clone()))?;
    let mut count = |sum: Sum| {
        fused.launches();
        whole.run(sum)?;
        let launches = fused.launches();
        parts.launches();
        unfused.run(sum)?;
        let moved = parts.launches().iter().map(|l| l.moved_bytes()).sum();
        Ok::<_, BenchError>(Traffic {
            operation: sum.name(),
            log_n: LOG_N,
            launches,
            unfused_bytes: Some(moved),
            floor_bytes: sum.floor(),
        })
    };
    Sum::ALL.into_iter().map(&mut count).collect()
}
