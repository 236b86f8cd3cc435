//! Coefficient packing: plain operands, and results as they travel. Both are read against a plan that the reader made itself: the
//! file repeats what it was made for, and anything else is refused.

use super::{Kind, Record, Result, Sink, Source, WireError, bfv::read_plain, bits, digest, rows};
use crate::{
    backend::{Backend, Ref},
    bfv::{self, Bfv},
    matmul::coefficient::{Body, Cut, Encrypted, Output, Outputs, Plan, Shape, Weights},
    rlwe,
};

/// Names and bytes of sections.
type Sections = Vec<(&'static str, u64)>;

/// Values read at a time.
const CHUNK: usize = 4096;

/// What the index of either kind begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// The plaintext modulus t.
    pub plain: u128,
    /// The product.
    pub shape: Shape,
    /// Which operands are encrypted.
    pub encrypted: Encrypted,
}

/// Bytes of a [`Product`].
const PRODUCT_BYTES: u64 = 16 + 4 * 4;

impl Product {
    fn of(plan: &Plan) -> Self {
        Self {
            plain: plan.params().plain().value(),
            shape: plan.shape(),
            encrypted: plan.request().encrypted,
        }
    }

    fn write(self, sink: &mut Sink<'_>) -> Result<()> {
        let Shape { m, k, n } = self.shape;
        let encrypted = match self.encrypted {
            Encrypted::Left => 0,
            Encrypted::Right => 1,
            Encrypted::Both => 2,
        };
        sink.put(&self.plain.to_le_bytes())?;
        sink.numbers(&[m as u32, k as u32, n as u32, encrypted])
    }

    fn read(source: &mut Source<'_>) -> Result<Self> {
        let plain = read_plain(source)?;
        let [m, k, n] = [source.u32()?, source.u32()?, source.u32()?].map(|d| d as usize);
        let encrypted = match source.u32()? {
            0 => Encrypted::Left,
            1 => Encrypted::Right,
            2 => Encrypted::Both,
            found => {
                let allowed = "0, 1 and 2 are the left, the right and both";
                return Err(WireError::field("the encrypted operand", found, allowed));
            }
        };
        Ok(Self {
            plain,
            shape: Shape { m, k, n },
            encrypted,
        })
    }

    /// Reads what the plan has, and nothing else.
    fn expect(plan: &Plan, source: &mut Source<'_>) -> Result<()> {
        let (found, wanted) = (Self::read(source)?, Self::of(plan));
        if found.plain != wanted.plain {
            let (found, wanted) = (found.plain, wanted.plain);
            return Err(WireError::Plain { found, wanted });
        }
        same("the shape of the product", found.shape, wanted.shape)?;
        same("the encrypted operand", found.encrypted, wanted.encrypted)
    }
}

/// Demands what the plan has.
fn same<T: PartialEq + std::fmt::Display>(what: &'static str, found: T, wanted: T) -> Result<()> {
    if found != wanted {
        return Err(WireError::field(what, found, format!("the plan has {wanted}")));
    }
    Ok(())
}

/// Bytes of an integer of magnitude up to `bound`, with its sign.
fn width(bound: u64) -> usize {
    let bits = u64::BITS - bound.leading_zeros() + 1;
    bits.div_ceil(8).min(8) as usize
}

fn write_integers(sink: &mut Sink<'_>, values: &[i64], width: usize) -> Result<()> {
    for values in values.chunks(CHUNK) {
        let bytes = values
            .iter()
            .flat_map(|v| v.to_le_bytes().into_iter().take(width));
        sink.put(&bytes.collect::<Vec<u8>>())?;
    }
    sink.end()
}

fn read_integers(source: &mut Source<'_>, what: &'static str, count: usize, bound: u64) -> Result<Vec<i64>> {
    let width = width(bound);
    let mut values = Vec::with_capacity(count);
    let mut bytes = vec![0; width * CHUNK.min(count)];
    while values.len() < count {
        let now = CHUNK.min(count - values.len());
        let bytes = &mut bytes[..now * width];
        source.take(bytes)?;
        for bytes in bytes.chunks(width) {
            let negative = bytes.last().is_some_and(|b| *b >= 128);
            let mut word = [if negative { 0xff } else { 0 }; 8];
            word[..width].copy_from_slice(bytes);
            let value = i64::from_le_bytes(word);
            if value.unsigned_abs() > bound {
                let allowed = format!("the plan allows magnitudes up to {bound}");
                return Err(WireError::field(what, value, allowed));
            }
            values.push(value);
        }
    }
    Ok(values)
}

/// The bound on a bias.
fn bias_bound(plan: u128) -> u64 {
    (plan / 2) as u64
}

/// Entries of the plain operand.
fn entries(product: &Product) -> u64 {
    let Shape { m, k, n } = product.shape;
    let other = match product.encrypted {
        Encrypted::Right => m,
        _ => n,
    };
    k as u64 * other as u64
}

/// The index of weights: the product, the bound (8), whether there is a bias (4).
const WEIGHTS_INDEX: u64 = PRODUCT_BYTES + 12;

/// What the index of weights says, and the bytes of the sections behind it.
pub(super) fn read_weights_index(source: &mut Source<'_>) -> Result<(Product, u64, Sections)> {
    let (product, bound) = (Product::read(source)?, source.u64()?);
    let biased = read_flag(source)?;
    Ok((product, bound, weights_sections(&product, bound, biased)))
}

fn read_flag(source: &mut Source<'_>) -> Result<bool> {
    match source.u32()? {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(WireError::field(
            "whether there is a bias",
            found,
            "0 or 1 belongs there",
        )),
    }
}

fn weights_sections(product: &Product, bound: u64, biased: bool) -> Sections {
    let mut sections = vec![("weights", entries(product).saturating_mul(width(bound) as u64))];
    if biased {
        let bytes = product.shape.n * width(bias_bound(product.plain));
        sections.push(("bias", bytes as u64));
    }
    sections
}

impl Record<Plan> for Weights {
    const KIND: Kind = Kind::CoefficientWeights;

    fn expected(plan: &Plan) -> Option<[u8; 32]> {
        Some(digest(plan.params().rlwe().spec()))
    }

    fn parameters(&self, plan: &Plan) -> Result<[u8; 32]> {
        let (own, wanted) = (Product::of(self.plan()), Product::of(plan));
        same("the shape of the product", own.shape, wanted.shape)?;
        same("the encrypted operand", own.encrypted, wanted.encrypted)?;
        same(
            "the bound on weights",
            self.plan().weight_bound(),
            plan.weight_bound(),
        )?;
        (plan.params().rlwe()).check("write", "the weights", self.plan().params().rlwe())?;
        Ok(digest(plan.params().rlwe().spec()))
    }

    fn sections(&self, plan: &Plan) -> Result<Vec<u64>> {
        let biased = self.bias().is_some();
        let sections = weights_sections(&Product::of(plan), plan.weight_bound(), biased);
        let rest = sections.into_iter().map(|(_, bytes)| bytes);
        Ok(std::iter::once(WEIGHTS_INDEX).chain(rest).collect())
    }

    fn write(&self, plan: &Plan, sink: &mut Sink<'_>) -> Result<()> {
        Product::of(plan).write(sink)?;
        sink.put(&plan.weight_bound().to_le_bytes())?;
        sink.numbers(&[u32::from(self.bias().is_some())])?;
        sink.end()?;
        write_integers(sink, &self.values(), width(plan.weight_bound()))?;
        match self.bias() {
            Some(bias) => write_integers(sink, bias, width(bias_bound(plan.params().plain().value()))),
            None => Ok(()),
        }
    }

    fn read(plan: &Plan, source: &mut Source<'_>) -> Result<Self> {
        let (product, bound) = (Product::of(plan), plan.weight_bound());
        let biased = source.first("index", |source| {
            Product::expect(plan, source)?;
            same("the bound on weights", source.u64()?, bound)?;
            read_flag(source)
        })?;
        let sections = weights_sections(&product, bound, biased);
        let rest = sections.iter().map(|(_, bytes)| *bytes).sum();
        source.demand("weights", Some(rest), sections.len() as u64)?;
        let (mut values, mut bias) = (Vec::new(), None);
        for (name, bytes) in sections {
            let limit = bias_bound(product.plain);
            source.section(format_args!("{name}"), bytes, |source| {
                match name {
                    "bias" => bias = Some(read_integers(source, "a bias", product.shape.n, limit)?),
                    _ => values = read_integers(source, "a weight", entries(&product) as usize, bound)?,
                }
                Ok(())
            })?;
        }
        let weights = plan.weights(&values)?;
        Ok(match bias {
            Some(bias) => weights.with_bias(&bias)?,
            None => weights,
        })
    }
}

/// The numbers behind the product in the index of outputs: how they travel, block, level, ciphertexts.
fn decisions(plan: &Plan) -> [(&'static str, u32); 6] {
    let (block, packed) = (plan.block(), plan.output() == Output::Packed);
    [
        ("how results travel (0 cut, 1 packed)", u32::from(packed)),
        ("the rows of a block", block.rows as u32),
        ("the inner dimension of a block", block.inner as u32),
        ("the columns of a block", block.columns as u32),
        ("the level", plan.levels().output.0),
        ("the number of ciphertexts", plan.results() as u32),
    ]
}

/// A number of residues whose row is whole bytes.
fn whole(count: usize) -> usize {
    count.next_multiple_of(8)
}

/// The rows of a level.
fn primes<B: Backend>(bfv: &Bfv<B>, plan: &Plan) -> Result<Vec<u32>> {
    let params = bfv.context().params();
    let primes = &params.level("read", plan.levels().output)?.primes;
    Ok(primes.iter().map(|i| params.basis().prime(*i).value()).collect())
}

/// Bytes of the section of every ciphertext.
fn output_bytes<B: Backend>(bfv: &Bfv<B>, plan: &Plan) -> Result<Vec<u64>> {
    let (n, primes) = (bfv.params().degree(), primes(bfv, plan)?);
    let bytes = |i: usize| {
        let first = match plan.output() {
            Output::Packed => n,
            Output::Cut => whole(plan.needed(i).len()),
        };
        let row = |p: &u32| (bits::row_bytes(n, *p) + bits::row_bytes(first, *p)) as u64;
        primes.iter().map(row).sum()
    };
    Ok((0..plan.results()).map(bytes).collect())
}

/// What the index of outputs says, and the bytes of every ciphertext.
pub(super) fn read_outputs_index(source: &mut Source<'_>) -> Result<(Product, u32, Vec<u64>)> {
    let product = Product::read(source)?;
    let mut numbers = [0; 6];
    for number in &mut numbers {
        *number = source.u32()?;
    }
    let [packed, .., items] = numbers;
    let most = source.remaining() / 8;
    if u64::from(items) > most {
        let allowed = format!("there are lengths for {most}");
        return Err(WireError::field("the number of ciphertexts", items, allowed));
    }
    let bytes = (0..items).map(|_| source.u64()).collect::<Result<_>>()?;
    Ok((product, packed, bytes))
}

impl<B: Backend> Record<(Bfv<B>, Plan)> for Outputs<B> {
    const KIND: Kind = Kind::CoefficientOutputs;

    fn expected((_, plan): &(Bfv<B>, Plan)) -> Option<[u8; 32]> {
        Some(digest(plan.params().rlwe().spec()))
    }

    fn parameters(&self, (bfv, plan): &(Bfv<B>, Plan)) -> Result<[u8; 32]> {
        (bfv.context().params()).check("write", "the plan", plan.params().rlwe())?;
        let (own, wanted) = (Product::of(self.plan()), Product::of(plan));
        same("the shape of the product", own.shape, wanted.shape)?;
        same("the encrypted operand", own.encrypted, wanted.encrypted)?;
        for ((what, own), (_, wanted)) in decisions(self.plan()).into_iter().zip(decisions(plan)) {
            same(what, own, wanted)?;
        }
        Ok(digest(plan.params().rlwe().spec()))
    }

    fn sections(&self, (bfv, plan): &(Bfv<B>, Plan)) -> Result<Vec<u64>> {
        let each = output_bytes(bfv, plan)?;
        let index = PRODUCT_BYTES + 4 * decisions(plan).len() as u64 + 8 * each.len() as u64;
        Ok(std::iter::once(index).chain(each).collect())
    }

    fn write(&self, (bfv, plan): &(Bfv<B>, Plan), sink: &mut Sink<'_>) -> Result<()> {
        Product::of(plan).write(sink)?;
        sink.numbers(&decisions(plan).map(|(_, number)| number))?;
        for bytes in output_bytes(bfv, plan)? {
            sink.put(&bytes.to_le_bytes())?;
        }
        sink.end()?;
        let all = match &self.body {
            Body::Packed(ct) => {
                for i in 0..ct.items() {
                    let one: Ref<'_, B> = ct.rlwe().view().map(|s| s.slice_items(i, 1));
                    rows::write(bfv.context(), sink, one)?;
                    sink.end()?;
                }
                return Ok(());
            }
            Body::Cut(all) => all,
        };
        let (n, primes, mut packed) = (bfv.params().degree(), primes(bfv, plan)?, Vec::new());
        for cut in all {
            let count = cut.first.len() / primes.len().max(1);
            for (row, p) in cut.first.chunks(count.max(1)).zip(&primes) {
                let mut row = row.to_vec();
                row.resize(whole(count), 0);
                packed.clear();
                bits::pack(&row, *p, &mut packed);
                sink.put(&packed)?;
            }
            for (row, p) in cut.second.chunks(n).zip(&primes) {
                packed.clear();
                bits::pack(row, *p, &mut packed);
                sink.put(&packed)?;
            }
            sink.end()?;
        }
        Ok(())
    }

    fn read((bfv, plan): &(Bfv<B>, Plan), source: &mut Source<'_>) -> Result<Self> {
        (bfv.context().params()).check("read", "the plan", plan.params().rlwe())?;
        let each = output_bytes(bfv, plan)?;
        source.first("index", |source| {
            Product::expect(plan, source)?;
            for (what, wanted) in decisions(plan) {
                same(what, source.u32()?, wanted)?;
            }
            let length = |wanted: &u64| same("the length of a ciphertext", source.u64()?, *wanted);
            each.iter().try_for_each(length)
        })?;
        source.demand("ciphertexts", Some(each.iter().sum()), each.len() as u64)?;
        let items = each.len();
        let (ctx, level) = (bfv.context(), plan.levels().output);
        let name = |i: usize| format!("ciphertext {} of {items}", i + 1);
        let body = match plan.output() {
            Output::Packed => {
                let rows = &ctx.level("read", level)?.rows;
                let mut result = Ok(());
                let ct = rlwe::Ciphertext::build(ctx, "read", level, items, 2, |mut dst| {
                    result = each.iter().enumerate().try_for_each(|(i, bytes)| {
                        source.section(format_args!("{}", name(i)), *bytes, |source| {
                            rows::read(ctx, source, rows, dst.part(|s| s.slice_items(i, 1)))
                        })
                    });
                    Ok(())
                })?;
                result?;
                Body::Packed(bfv::Ciphertext::from_parts(ct, bfv.plain()))
            }
            Output::Cut => {
                let primes = primes(bfv, plan)?;
                let cut = |(i, bytes): (usize, &u64)| {
                    source.section(format_args!("{}", name(i)), *bytes, |source| {
                        read_cut(source, plan.needed(i).len(), bfv.params().degree(), &primes)
                    })
                };
                Body::Cut(each.iter().enumerate().map(cut).collect::<Result<_>>()?)
            }
        };
        Ok(Self::from_parts(plan, body))
    }
}

/// One ciphertext of `count` coefficients of c_0 and all of c_1.
fn read_cut(source: &mut Source<'_>, count: usize, n: usize, primes: &[u32]) -> Result<Cut> {
    let mut read = |polynomial: usize, count: usize| -> Result<Vec<u32>> {
        let mut all = vec![0; count * primes.len()];
        let mut packed = Vec::new();
        for (row, (words, p)) in all.chunks_mut(count).zip(primes).enumerate() {
            packed.resize(bits::row_bytes(count, *p), 0);
            source.take(&mut packed)?;
            bits::unpack(&packed, *p, words).map_err(|(index, value)| WireError::Residue {
                polynomial,
                row,
                index,
                value,
                prime: *p,
            })?;
        }
        Ok(all)
    };
    let (padded, second) = (read(0, whole(count))?, read(1, n)?);
    let mut first = Vec::with_capacity(count * primes.len());
    for row in padded.chunks(whole(count)) {
        let (needed, rest) = row.split_at(count);
        if let Some(found) = rest.iter().find(|word| **word != 0) {
            let allowed = "zeros fill up its last bytes";
            return Err(WireError::field("the end of a row", found, allowed));
        }
        first.extend(needed);
    }
    Ok(Cut { first, second })
}
