//! What tests run on two backends, whose bits have to agree: transforms, every operation of every level of a chain, and a short circuit.

use cipherformer::{
    arith::{Complex, ntt_primes},
    backend::{Backend, KeySwitch, Light, Mut, Ref, Row, Span, compact, cpu::Cpu},
    ckks::{Ciphertext, Ckks, Evaluator},
    ring::{Basis, ChainKind, Galois},
    rlwe::{Context, EvaluationKeys, KeyNeeds, Level, Params, SecretKey, SeededEvaluationKeys},
};

#[path = "chain.rs"]
mod chain;

use chain::{insecure, uniform};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Memory, the rows of a polynomial in it, and how many polynomials there are.
pub type Rows<B> = (<B as Backend>::Buffer, Vec<Row>, usize);

/// Residues of two rows after the forward, and the inverse transform, and the sum of their products with two light polynomials.
fn transforms<B: Backend>(b: &B, basis: &Basis, span: Span, words: &[u32]) -> Outcome<[Vec<u32>; 3]> {
    let tables = b.tables(basis)?;
    let mut buffer = b.alloc(basis.log_n(), span.count())?;
    let mut results = [words.to_vec(), words.to_vec(), words.to_vec()];
    b.upload(Mut::new(&mut buffer, span), words)?;
    b.ntt(&tables, Mut::new(&mut buffer, span))?;
    b.download(Ref::new(&buffer, span), &mut results[0])?;
    b.upload(Mut::new(&mut buffer, span), words)?;
    b.intt(&tables, Mut::new(&mut buffer, span))?;
    b.download(Ref::new(&buffer, span), &mut results[1])?;
    let length = 1 << basis.log_n();
    let integers: Vec<i32> = (0..2 * length as i32)
        .map(|i| i.wrapping_mul(0x9e37_79b1_u32 as i32))
        .collect();
    let light = Light {
        buffer: &b.light(2, length, &integers)?,
        first: 0,
        length,
    };
    let mut sum = b.alloc(basis.log_n(), span.count())?;
    let terms = [Ref::new(&buffer, span); 2];
    b.light_product(&tables, Mut::new(&mut sum, span), &terms, light)?;
    b.download(Ref::new(&sum, span), &mut results[2])?;
    Ok(results)
}

/// Both directions of one degree, against the CPU.
pub fn transforms_agree(device: &impl Backend, log_n: u32) -> Outcome<()> {
    let primes: Vec<u32> = ntt_primes(log_n, 2, 1 << 30).take(2).collect();
    let basis = Basis::new(log_n, &primes)?;
    let rows = compact(&[1, 0]);
    let span = Span::dense(1, 1, &rows);
    let words: Vec<u32> = (0..2u64 << log_n)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 35) as u32 % primes[1].min(primes[0]))
        .collect();
    if transforms(device, &basis, span, &words)? != transforms(&Cpu::new(), &basis, span, &words)? {
        return Err(format!("a transform of 2^{log_n} differs").into());
    }
    Ok(())
}

/// A rational chain, whose steps take primes away and bring others back. Small rings, and for tests alone.
pub fn params(log_n: u32, levels: usize) -> Params {
    insecure(&uniform(log_n, ChainKind::Rational, 40.0, levels, 2))
}

/// Residues that look random, extremes among them.
pub fn words<B: Backend>(ctx: &Context<B>, seed: u64, items: usize, rows: &[Row]) -> Vec<u32> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut words = Vec::new();
    for _ in 0..items {
        for row in rows {
            let p = ctx.params().basis().prime(row.prime).value();
            words.extend((0..1u32 << ctx.log_n()).map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                match state >> 60 {
                    0 => p - 1,
                    1 => 0,
                    _ => (state >> 20) as u32 % p,
                }
            }));
        }
    }
    words
}

/// Operands of one level on a backend.
pub struct LevelWork<B: Backend> {
    pub ctx: Context<B>,
    level: Level,
    items: usize,
    rows: Vec<Row>,
    keys: Vec<B::Key>,
    /// Three polynomials of each item.
    pub input: B::Buffer,
}

impl<B: Backend> LevelWork<B> {
    pub fn new(ctx: &Context<B>, level: Level, items: usize) -> Outcome<Self> {
        let (backend, constants) = (ctx.backend(), ctx.level("test", level)?);
        let digits = 1 + constants.digits.iter().map(|d| d.digit).max().unwrap_or(0) as usize;
        let primes: Vec<u32> = constants.extended.iter().map(|r| r.prime).collect();
        let extended = compact(&primes);
        let mut keys = Vec::new();
        for i in 0..items {
            let span = Span::dense(digits, 2, &extended);
            let mut buffer = backend.alloc(ctx.log_n(), span.count())?;
            let key = words(ctx, 77 + i as u64, 2 * digits, &extended);
            backend.upload(Mut::new(&mut buffer, span), &key)?;
            keys.push(backend.prepare(ctx.tables(), Ref::new(&buffer, span))?);
        }
        let rows = constants.rows.to_vec();
        let input = backend.alloc(ctx.log_n(), 3 * items * rows.len())?;
        let ctx = ctx.clone();
        let mut work = Self {
            ctx,
            level,
            items,
            rows,
            keys,
            input,
        };
        work.write(1)?;
        Ok(work)
    }

    /// Other operands.
    pub fn write(&mut self, seed: u64) -> Outcome<()> {
        let words = words(&self.ctx, seed, 3 * self.items, &self.rows);
        let span = Span::dense(self.items, 3, &self.rows);
        Ok(self
            .ctx
            .backend()
            .upload(Mut::new(&mut self.input, span), &words)?)
    }

    /// Every operation that the level has: switches one by one and hoisted, with and without the step down, and the step.
    pub fn run(&self) -> Outcome<Vec<Rows<B>>> {
        let (ctx, backend, t) = (&self.ctx, self.ctx.backend(), self.ctx.tables());
        let constants = ctx.level("test", self.level)?;
        let (items, log_n) = (self.items, ctx.log_n());
        let input = Ref::new(&self.input, Span::dense(items, 3, &self.rows));
        let keys: Vec<&B::Key> = self.keys.iter().collect();
        let elements: Vec<Galois> = (1..=items as i64).map(|k| Galois::rotation(k, log_n)).collect();
        let mut results = Vec::new();
        let below = [constants.mod_down_rescale.as_ref()];
        for (step, switched) in [(Some(&constants.mod_down), 1), (below[0], 2)] {
            let Some(step) = step else { continue };
            let rows = compact(&step.step.result);
            let k = |keys, elements| KeySwitch {
                digits: &constants.digits,
                extended: &constants.extended,
                keys,
                factor: &constants.special_product,
                elements,
                step: Some(step),
            };
            // A switch of one polynomial, the others added.
            let mut out = backend.alloc(log_n, 2 * items * rows.len())?;
            let dst = Mut::new(&mut out, Span::dense(items, 2, &rows));
            let src = input.map(|s| s.slice_polys(switched, 1));
            let addend = input.map(|s| s.slice_polys(0, switched));
            backend.key_switch(t, dst, src, addend, &k(&keys[..1], &elements[..1]))?;
            results.push((out, rows.clone(), 2 * items));
            // The first item under several automorphisms.
            let span = Span::dense(1, constants.digits.len(), &constants.extended);
            let mut digits = backend.alloc(log_n, span.count())?;
            let one = input.map(|s| s.slice_items(0, 1).slice_polys(1, 1));
            backend.mod_up(t, Mut::new(&mut digits, span), one, &constants.digits)?;
            let mut out = backend.alloc(log_n, 2 * items * rows.len())?;
            let dst = Mut::new(&mut out, Span::dense(items, 2, &rows));
            let shared = Ref::new(&digits, span.repeat_items(items));
            let addend = input.map(|s| s.slice_polys(0, 1).repeat_items(items));
            backend.switch_digits(t, dst, shared, addend, &k(&keys, &elements))?;
            results.push((out, rows, 2 * items));
        }
        if let Some(step) = &constants.rescale {
            let rows = compact(&step.step.result);
            let mut out = backend.alloc(log_n, 2 * items * rows.len())?;
            let dst = Mut::new(&mut out, Span::dense(items, 2, &rows));
            backend.step(t, dst, input.map(|s| s.slice_polys(0, 2)), step)?;
            results.push((out, rows, 2 * items));
        }
        Ok(results)
    }

    /// The words of results.
    pub fn read(&self, results: &[Rows<B>]) -> Outcome<Vec<u32>> {
        let mut all = Vec::new();
        for (buffer, rows, polys) in results {
            let span = Span::dense(*polys, 1, rows);
            let mut words = vec![0; span.count() << self.ctx.log_n()];
            self.ctx.backend().download(Ref::new(buffer, span), &mut words)?;
            all.extend(words);
        }
        Ok(all)
    }
}

/// A chain on which all levels are compared: log2 N, levels, items.
pub type Shape = (u32, usize, usize);

/// A small ring, rings to N = 2^13 in batches of one to three, and three levels of N = 2^16.
pub const ALL_SHAPES: &[Shape] = &[(9, 4, 3), (12, 4, 1), (12, 4, 3), (13, 2, 2), (16, 3, 1)];
/// The smallest ring that takes every fused kernel.
pub const FEW_SHAPES: &[Shape] = &[(12, 2, 3)];

/// Key switches, hoisted and alone, merged divisions and steps of every level, on each device and on the CPU.
pub fn levels_agree<B: Backend + Clone>(devices: &[B], shapes: &[Shape]) -> Outcome<()> {
    for (log_n, levels, items) in shapes {
        let want = every_level(Cpu::new(), *log_n, *levels, *items)?;
        for device in devices {
            let place = format!("N = 2^{log_n}, {items} items on {}", device.capabilities().device);
            if every_level(device.clone(), *log_n, *levels, *items)? != want {
                return Err(format!("{place}: other bits").into());
            }
            println!("{place}, {levels} levels: {} words agree", want.len());
        }
    }
    Ok(())
}

/// Every level in turn, with new operands: all words.
fn every_level<B: Backend>(backend: B, log_n: u32, levels: usize, items: usize) -> Outcome<Vec<u32>> {
    let ctx = Context::new(backend, params(log_n, levels))?;
    let mut all = Vec::new();
    for level in 0..levels {
        let mut work = LevelWork::new(&ctx, Level(level as u32), items)?;
        work.write(level as u64)?;
        all.extend(work.read(&work.run()?)?);
    }
    Ok(all)
}

/// Two parties and a ciphertext.
pub struct Circuit<B: Backend> {
    pub ckks: Ckks<B>,
    pub keys: EvaluationKeys<B>,
    pub x: Ciphertext<B>,
}

impl<B: Backend> Circuit<B> {
    pub fn new(backend: B, log_n: u32) -> Outcome<Self> {
        Self::with(backend, log_n, |ctx, keys| Ok(keys.expand(ctx)?))
    }

    /// With keys that `hold` makes of the seeded ones.
    pub fn with(
        backend: B,
        log_n: u32,
        hold: impl FnOnce(&Context<B>, SeededEvaluationKeys<B>) -> Outcome<EvaluationKeys<B>>,
    ) -> Outcome<Self> {
        let ctx = Context::new(backend, params(log_n, 3))?;
        let ckks = Ckks::new(&ctx);
        let sk = SecretKey::insecure_deterministic(&ctx, [7; 32])?;
        let needs = KeyNeeds::new(ctx.params()).relinearise().rotate([1, 5]);
        let keys = hold(&ctx, sk.evaluation_keys(&needs)?)?;
        let values: Vec<Complex> = (0..256).map(|i| Complex::new(i as f64 / 256.0, -0.5)).collect();
        let x = ckks.encrypt(&sk, &values, 2, ctx.params().top())?.expand(&ctx)?;
        Ok(Self { ckks, keys, x })
    }

    /// A product, a merged relinearisation and rescaling, rotations of one item and of all.
    pub fn run(&self) -> Outcome<Vec<Ciphertext<B>>> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let product = ev.relinearise_rescale(&ev.mul(&self.x, &self.x)?)?;
        let mut results = ev.rotate_hoisted(&product.slice(0, 1)?, &[1, 0, 5])?;
        results.extend(ev.rotate_hoisted(&product, &[5])?);
        results.push(ev.rotate(&product, 1)?);
        Ok(results)
    }

    pub fn read(&self, results: &[Ciphertext<B>]) -> Outcome<Vec<u32>> {
        let ctx = self.ckks.context();
        let mut words = Vec::new();
        for result in results {
            let view = result.rlwe().view();
            let mut own = vec![0; view.span.count() << ctx.log_n()];
            ctx.backend().download(view, &mut own)?;
            words.extend(own);
        }
        Ok(words)
    }
}

/// Lets allocation n of a computation fail, for n = 0, 1, .. until it succeeds, and returns how many failed. `fail` makes all allocations
/// after so many further ones fail, and none without a number. Each failure has to be reported; the success has the words `want`.
pub fn every_allocation_failed<T>(
    fail: impl Fn(Option<u64>) -> Outcome<()>,
    run: impl Fn() -> Outcome<T>,
    read: impl Fn(T) -> Outcome<Vec<u32>>,
    want: &[u32],
) -> Outcome<u64> {
    for n in 0.. {
        fail(Some(n))?;
        let result = run();
        fail(None)?;
        match result {
            Ok(result) => {
                assert_eq!(read(result)?, want);
                return Ok(n);
            }
            Err(error) => assert!(error.to_string().contains("out of device memory"), "{error}"),
        }
    }
    Err("no run of it succeeds".into())
}

/// Residues of the circuit's results.
pub fn circuit<B: Backend>(backend: B, log_n: u32) -> Outcome<Vec<u32>> {
    let circuit = Circuit::new(backend, log_n)?;
    circuit.read(&circuit.run()?)
}
