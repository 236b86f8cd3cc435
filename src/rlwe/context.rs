//! A parameter set on a backend: tables, and the constants of every level.

use std::sync::Arc;

use super::{Level, LevelParams, Params, Result, RlweError};
use crate::{
    backend::{Backend, BasisStep, DigitStep, Mut, Owners, Row, Span, compact, derived::select},
    ring::{Conversion, Step},
};

/// Parameters prepared on a backend. Cheap to clone; everything in it is public.
pub struct Context<B: Backend>(Arc<Shared<B>>);

struct Shared<B: Backend> {
    backend: B,
    params: Params,
    tables: B::Tables,
    levels: Vec<LevelContext<B>>,
    special: Vec<Row>,
    owners: Owners<B::Buffer>,
}

/// Constants of one level on a backend.
pub struct LevelContext<B: Backend> {
    /// The rows of the level's primes.
    pub rows: Arc<[Row]>,
    /// The rows of the level's primes, then of the special primes.
    pub extended: Vec<Row>,
    /// The digits that have primes at this level.
    pub digits: Vec<DigitStep<B>>,
    /// Division by the special primes.
    pub mod_down: BasisStep<B>,
    /// To the level below; none at level 0.
    pub rescale: Option<BasisStep<B>>,
    /// Division by the special primes and to the level below, with one rounding.
    pub mod_down_rescale: Option<BasisStep<B>>,
    /// The product of the special primes modulo each of the level's primes.
    pub special_product: Vec<u32>,
    /// The rows of every lower level, 0 first, among those of this one; none where the sets do not nest.
    pub selections: Vec<Option<Arc<[Row]>>>,
}

impl<B: Backend> Clone for Context<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> Context<B> {
    /// Prepares `params` on `backend`.
    pub fn new(backend: B, params: Params) -> Result<Self> {
        let tables = backend.tables(params.basis())?;
        let special = params.special().to_vec();
        let mut levels = Vec::new();
        for (l, level) in params.levels().iter().enumerate() {
            let lower = &params.levels()[..l];
            levels.push(LevelContext::new(
                &backend,
                &tables,
                &params,
                &level.primes,
                lower,
            )?);
        }
        let special = compact(&special);
        Ok(Self(Arc::new(Shared {
            backend,
            params,
            tables,
            levels,
            special,
            owners: Owners::default(),
        })))
    }

    /// The backend.
    pub fn backend(&self) -> &B {
        &self.0.backend
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.0.params
    }

    /// The prepared basis.
    pub fn tables(&self) -> &B::Tables {
        &self.0.tables
    }

    /// log2 of the ring degree.
    pub fn log_n(&self) -> u32 {
        self.0.params.log_n()
    }

    /// Whose buffers of ciphertexts are.
    pub(super) fn owners(&self) -> &Owners<B::Buffer> {
        &self.0.owners
    }

    /// Rows of the special primes alone.
    pub fn special_rows(&self) -> &[Row] {
        &self.0.special
    }

    /// One level; errors when it does not exist.
    pub fn level(&self, operation: &'static str, level: Level) -> Result<&LevelContext<B>> {
        let top = self.params().top().0;
        self.0.levels.get(level.index()).ok_or(RlweError::NoLevel {
            operation,
            level,
            top,
        })
    }

    /// Memory that holds zeros, `[items][polys][rows]`.
    pub(crate) fn zeroed(&self, items: usize, polys: usize, rows: &[Row]) -> Result<B::Buffer> {
        let span = Span::dense(items, polys, rows);
        let mut buffer = self.backend().alloc(self.log_n(), span.count())?;
        self.backend().zero(Mut::new(&mut buffer, span))?;
        Ok(buffer)
    }

    /// Whether two contexts are the same one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<B: Backend> LevelContext<B> {
    fn new(
        backend: &B,
        tables: &B::Tables,
        params: &Params,
        primes: &[u32],
        lower: &[LevelParams],
    ) -> Result<Self> {
        let below = lower.last().map(|level| level.primes.as_slice());
        let (basis, special) = (params.basis(), params.special());
        let extended: Vec<u32> = primes.iter().chain(special).copied().collect();
        let prepare = |from: &[u32], to: &[u32]| -> Result<BasisStep<B>> {
            let step = Step::new(basis, from, to);
            let conversion = backend.conversion(tables, &step.conversion)?;
            Ok(BasisStep { step, conversion })
        };
        let digit_of = |i: u32| params.digit_of().get(i as usize).map(|d| u32::from(*d));
        let last = primes.iter().filter_map(|i| digit_of(*i)).max().unwrap_or(0);
        let mut digits = Vec::new();
        for digit in 0..=last {
            let (sources, targets): (Vec<u32>, Vec<u32>) =
                extended.iter().partition(|i| digit_of(**i) == Some(digit));
            if !sources.is_empty() {
                let conversion = backend.conversion(tables, &Conversion::new(basis, &sources, &targets))?;
                digits.push(DigitStep {
                    digit,
                    sources,
                    targets,
                    conversion,
                });
            }
        }
        let rows: Arc<[Row]> = compact(primes).into();
        let selection = |level: &LevelParams| {
            let some = select(&rows, &level.primes);
            (some.len() == level.primes.len()).then(|| some.into())
        };
        Ok(Self {
            selections: lower.iter().map(selection).collect(),
            rows,
            digits,
            mod_down: prepare(&extended, primes)?,
            rescale: below.map(|b| prepare(primes, b)).transpose()?,
            mod_down_rescale: below.map(|b| prepare(&extended, b)).transpose()?,
            special_product: primes
                .iter()
                .map(|i| basis.product(special, basis.prime(*i)))
                .collect(),
            extended: compact(&extended),
        })
    }
}
