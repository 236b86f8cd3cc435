//! Transforms: the tables of a basis, and the launches of both passes.

use std::sync::Arc;

use super::{
    Cuda,
    device::{Argument, Cost, THREADS},
    encode::Twiddles,
    memory::Buffer,
    operands::{Addend, Ends},
};
use crate::{
    arith::Modulus,
    backend::{
        Backend, BackendError, Kept, Mut, Ref, Result, Row, Span, compact,
        prime::{PrimeTables, montgomery},
        primes_of,
    },
};

/// log2 of the words of a block of the outer pass, and of the inner one.
pub(super) const LOG_OUTER: u32 = 12;
const LOG_INNER: u32 = 11;
/// Stages of the inner pass.
pub(super) const INNER_STAGES: u32 = 9;
/// The smallest ring that takes two passes, and the largest.
const TWO_PASSES: std::ops::RangeInclusive<u32> = 12..=17;

/// The primes of a basis on the device, with their twiddles.
pub struct Tables {
    pub(super) log_n: u32,
    pub(super) moduli: Vec<Modulus>,
    /// The factors of the last stage of an inverse transform, by prime.
    last: Vec<[u32; 2]>,
    primes: Buffer,
    forward: Buffer,
    inverse: Buffer,
    pub(super) slots: Twiddles,
    /// Those of polynomials in X^gap, by log2 of N / gap.
    sparse: Kept<u32, Self>,
}

/// A prime with its constants, as in `kernels/common.cuh`.
#[repr(C, align(16))]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct Prime {
    p: u32,
    inverse: u32,
    bits: u32,
    mu: u32,
    barrett: u64,
    last_one: u32,
    last_twist: u32,
    i: u32,
    unused: [u32; 3],
}

impl Prime {
    fn new(m: Modulus, prime: &PrimeTables) -> Self {
        Self {
            p: prime.p,
            inverse: prime.inverse,
            bits: prime.bits,
            mu: prime.mu,
            barrett: m.barrett(),
            last_one: montgomery(m, prime.n_inverse),
            last_twist: m.mul(prime.backward[1], prime.n_inverse),
            i: prime.i,
            unused: [0; 3],
        }
    }
}

/// Which kernel of a set goes with the stages of the outer pass.
pub(super) type ByStages = [&'static str; 6];
const NTT_OUTER: ByStages = [
    "ntt_outer_3",
    "ntt_outer_4",
    "ntt_outer_5",
    "ntt_outer_6",
    "ntt_outer_7",
    "ntt_outer_8",
];
const INTT_OUTER: ByStages = [
    "intt_outer_3",
    "intt_outer_4",
    "intt_outer_5",
    "intt_outer_6",
    "intt_outer_7",
    "intt_outer_8",
];

impl Tables {
    pub(super) fn new(cuda: &Cuda, log_n: u32, moduli: &[Modulus]) -> Result<Self> {
        Self::in_ring(cuda, [log_n, log_n], moduli)
    }

    /// The tables of degree 2^log_n, below this ring's, that give the evaluations of polynomials in X^gap of it once each; kept from their
    /// first use on.
    pub(super) fn sparse(&self, cuda: &Cuda, log_n: u32) -> Result<Arc<Self>> {
        let new = || Self::in_ring(cuda, [log_n, self.log_n], &self.moduli);
        self.sparse.get(log_n, new)
    }

    /// Degree 2^log_n, with the root psi^gap for the psi of the ring of degree 2^of = 2^log_n gap.
    fn in_ring(cuda: &Cuda, [log_n, of]: [u32; 2], moduli: &[Modulus]) -> Result<Self> {
        let (mut primes, mut forward, mut inverse) = (Vec::new(), Vec::new(), Vec::new());
        for m in moduli {
            let prime = PrimeTables::new(*m, [log_n, of])?;
            primes.push(Prime::new(*m, &prime));
            forward.extend(prime.forward);
            inverse.extend(prime.backward);
        }
        Ok(Self {
            log_n,
            moduli: moduli.to_vec(),
            last: primes.iter().map(|p| [p.last_one, p.last_twist]).collect(),
            primes: cuda.device.constants(bytemuck::cast_slice(&primes))?,
            forward: cuda.device.constants(&forward)?,
            inverse: cuda.device.constants(&inverse)?,
            slots: Twiddles::default(),
            sparse: Kept::default(),
        })
    }

    /// The kernel for this ring among those of an outer pass; none where the ring is so small that one pass does it all, or too large.
    pub(super) fn outer(&self, kernels: ByStages) -> Option<&'static str> {
        let stages = self.log_n.checked_sub(*TWO_PASSES.start())?;
        kernels.get(stages as usize).copied()
    }

    /// Whether a transform is an outer and an inner pass.
    pub(super) fn has_two_passes(&self) -> bool {
        TWO_PASSES.contains(&self.log_n)
    }

    pub(super) fn primes(&self) -> Result<Argument> {
        Ok(Argument::Address(self.primes.address()))
    }

    pub(super) fn twiddles(&self) -> Argument {
        Argument::Address(self.forward.address())
    }

    pub(super) fn modulus(&self, row: Row) -> Modulus {
        self.moduli[row.prime as usize]
    }

    /// The factors of the last stage of an inverse transform that multiplies by `c` in addition.
    pub(super) fn last_times(&self, prime: u32, c: u32) -> [u32; 2] {
        let m = self.moduli[prime as usize];
        self.last[prime as usize].map(|last| m.mul(last, c))
    }

    /// Blocks of the inner pass along a row.
    pub(super) fn inner_tiles(&self) -> u32 {
        (1 << self.log_n) >> LOG_INNER
    }

    /// Twiddles that the outer and the inner pass of a row read: all nodes; of the last three stages one root a lane and
    /// the nodes of one lane.
    pub(super) fn outer_twiddles(&self) -> usize {
        1 << (self.log_n - INNER_STAGES)
    }

    pub(super) fn inner_twiddles(&self) -> usize {
        let (lanes, early) = (1usize << (self.log_n - INNER_STAGES), INNER_STAGES - 3);
        lanes * ((1 << early) - 1 + 3) + (1 << INNER_STAGES) - (1 << early)
    }
}

impl Cuda {
    /// dst in evaluation order, in place.
    pub(super) fn forward(&self, t: &Tables, dst: &Mut<Self>) -> Result<()> {
        self.forward_outer(t, dst)?;
        match t.has_two_passes() {
            true => self.forward_inner(t, dst, None),
            false => Ok(()),
        }
    }

    /// The outer pass, or the only one of a small ring.
    pub(super) fn forward_outer(&self, t: &Tables, dst: &Mut<Self>) -> Result<()> {
        let (count, rows) = (dst.span.count(), dst.span.rows.len());
        let cost = Cost::rows(t.log_n, count, count);
        let twiddles = || Ok(t.twiddles());
        let Some(outer) = t.outer(NTT_OUTER) else {
            self.check_one_pass(t)?;
            let cost = cost.tables(rows << t.log_n);
            let arguments = [t.primes(), twiddles()];
            return self.over_rows("ntt_small", dst, [1, THREADS], cost, arguments);
        };
        let cost = cost.tables(rows * t.outer_twiddles());
        let grid = [(1 << t.log_n) >> LOG_OUTER, THREADS];
        self.over_rows(outer, dst, grid, cost, [t.primes(), twiddles()])
    }

    /// The inner pass, which adds `addend` of `added` rows, if any.
    pub(super) fn forward_inner(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        addend: Option<(Addend, usize)>,
    ) -> Result<()> {
        let (count, rows) = (dst.span.count(), dst.span.rows.len());
        let added = addend.as_ref().map_or(0, |(_, added)| *added);
        let cost = Cost::rows(t.log_n, count + added, count).tables(rows * t.inner_twiddles());
        let grid = [t.inner_tiles(), THREADS];
        match addend {
            None => self.over_rows("ntt_inner", dst, grid, cost, [t.primes(), Ok(t.twiddles())]),
            Some((addend, _)) => {
                let addend = Argument::Addend(Box::new(addend));
                self.over_rows(
                    "ntt_inner_add",
                    dst,
                    grid,
                    cost,
                    [Ok(addend), t.primes(), Ok(t.twiddles())],
                )
            }
        }
    }

    /// dst = the coefficients of src, row i times a factor if `ends` has one for each; `src` may be the rows of `dst`. Only where there are
    /// two passes do rows have factors.
    pub(super) fn inverse(
        &self,
        t: &Tables,
        dst: &Mut<Self>,
        src: Result<Argument>,
        ends: Option<&[[u32; 2]]>,
    ) -> Result<()> {
        let twiddles = || Ok(Argument::Address(t.inverse.address()));
        let (count, rows) = (dst.span.count(), dst.span.rows.len());
        let cost = Cost::rows(t.log_n, count, count);
        let Some(outer) = t.outer(INTT_OUTER) else {
            self.check_one_pass(t)?;
            let cost = cost.tables(rows << t.log_n);
            return self.over_rows(
                "intt_small",
                dst,
                [1, THREADS],
                cost,
                [src, t.primes(), twiddles()],
            );
        };
        let inner = cost.tables(rows * t.inner_twiddles());
        let grid = [t.inner_tiles(), THREADS];
        self.over_rows("intt_inner", dst, grid, inner, [src, t.primes(), twiddles()])?;
        let cost = cost.tables(rows * t.outer_twiddles());
        let ends = Ok(Argument::Ends(Box::new(Ends::new(ends))));
        let blocks = (1 << t.log_n) >> LOG_OUTER;
        self.over_rows(
            outer,
            dst,
            [blocks, THREADS],
            cost,
            [ends, t.primes(), twiddles()],
        )
    }

    fn check_one_pass(&self, t: &Tables) -> Result<()> {
        let need = "rings beyond 2^17 on CUDA";
        match t.log_n < *TWO_PASSES.start() {
            true => Ok(()),
            false => Err(BackendError::Unsupported { need }),
        }
    }

    /// The rows of `src` as coefficients, in memory of their own, one after the other; row i times the factor in `ends`, if there are any.
    pub(super) fn coefficients(
        &self,
        t: &Tables,
        src: Ref<Self>,
        ends: Option<&[[u32; 2]]>,
    ) -> Result<(Buffer, Vec<Row>)> {
        let rows = compact(&primes_of(src.span.rows));
        let mut own = self.alloc(t.log_n, src.span.count())?;
        let span = Span::dense(src.span.items, src.span.polys, &rows);
        self.inverse(t, &Mut::new(&mut own, span), Argument::read(&src), ends)?;
        Ok((own, rows))
    }
}
