//! An operation with its arguments as data, to be run on any backend.

use super::operand::Operand;
use crate::{
    arith::{Complex, Double, Embedding},
    backend::{
        Backend, BasisStep, DigitStep, Integers, KeySwitch, Light, Matrix, Moved, Mut, Onto, Product, Ref,
        Span, compact, derived, primes_of,
    },
    ring::{Conversion, Crt, Galois, Scale, Step},
    sample::PublicSeed,
};

/// A digit, before its conversion is prepared.
pub(super) struct Digit {
    pub(super) digit: u32,
    pub(super) conversion: Conversion,
}

/// A key switch, before its conversions and keys are prepared.
pub(super) struct Switch<'a> {
    pub(super) digits: &'a [Digit],
    pub(super) extended: &'a [u32],
    pub(super) keys: &'a [Operand],
    pub(super) factor: &'a [u32],
    pub(super) elements: &'a [Galois],
    pub(super) step: Option<&'a Step>,
    /// Whether the source is the extended digits.
    pub(super) extended_already: bool,
}

/// An operation and its arguments other than rows of the destination and the sources.
pub(super) enum Call<'a> {
    Copy,
    Zero,
    Add,
    Sub,
    Neg,
    Mul,
    MulAdd,
    MulConst(&'a [u32]),
    MulConstAdd(&'a [u32]),
    AddConst(&'a [u32]),
    MulI,
    Permute(&'a [Galois]),
    Ntt,
    Intt,
    Lift(Integers<'a>),
    Convert(&'a Conversion),
    Expand(&'a [PublicSeed], u64),
    KeyInnerProduct(&'a [u32], &'a [Operand]),
    Gemm(Matrix<'a>),
    Tensor(usize),
    BlockProduct(usize),
    /// Terms, and the values of b's items, of which there are as many as the second number.
    SparseProduct(usize, usize, Integers<'a>),
    /// As many operands as terms. The first term's polynomial, and integers of all polynomials, of which there are as many as the last
    /// number.
    LightProduct(usize, &'a [i32], usize),
    Evaluate(Integers<'a>),
    PermuteAdd(&'a [Galois]),
    /// Terms that are items of each pair of operands, one after the other.
    MulAccumulate(Onto, usize),
    /// As many operands as elements.
    PermuteAccumulate(Onto, &'a [Galois]),
    ModUp(&'a [Digit]),
    Step(&'a Step),
    KeySwitch(Switch<'a>),
    Embed(&'a Embedding, &'a [Complex], Double),
    /// Slots of each item, from the rows of the source; nothing is written to rows.
    Decode(&'a Embedding, &'a Crt, &'a Scale, usize),
}

impl Call<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Zero => "zero",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Neg => "neg",
            Self::Mul => "mul",
            Self::MulAdd => "mul_add",
            Self::MulConst(_) => "mul_const",
            Self::MulConstAdd(_) => "mul_const_add",
            Self::AddConst(_) => "add_const",
            Self::MulI => "mul_i",
            Self::Permute(_) => "permute",
            Self::Ntt => "ntt",
            Self::Intt => "intt",
            Self::Lift(_) => "lift",
            Self::Convert(_) => "convert",
            Self::Expand(..) => "expand",
            Self::KeyInnerProduct(..) => "key_inner_product",
            Self::Gemm(_) => "gemm",
            Self::Tensor(_) => "tensor",
            Self::BlockProduct(_) => "block_product",
            Self::SparseProduct(..) => "sparse_product",
            Self::LightProduct(..) => "light_product",
            Self::Evaluate(_) => "evaluate",
            Self::PermuteAdd(_) => "permute_add",
            Self::MulAccumulate(..) => "mul_accumulate",
            Self::PermuteAccumulate(..) => "permute_accumulate",
            Self::ModUp(_) => "mod_up",
            Self::Step(_) => "step",
            Self::KeySwitch(s) if s.extended_already => "switch_digits",
            Self::KeySwitch(_) => "key_switch",
            Self::Embed(..) => "embed",
            Self::Decode(..) => "decode",
        }
    }

    /// Whether the destination is read.
    pub(super) fn updates(&self) -> bool {
        matches!(
            self,
            Self::Add
                | Self::Sub
                | Self::Neg
                | Self::MulAdd
                | Self::MulConstAdd(_)
                | Self::AddConst(_)
                | Self::MulI
                | Self::Ntt
                | Self::Intt
                | Self::PermuteAdd(_)
                | Self::MulAccumulate(Onto::Destination, _)
                | Self::PermuteAccumulate(Onto::Destination, _)
        )
    }

    /// Whether the operation has a derived body.
    pub(super) fn is_derived(&self) -> bool {
        matches!(
            self,
            Self::Tensor(_)
                | Self::BlockProduct(_)
                | Self::SparseProduct(..)
                | Self::LightProduct(..)
                | Self::Evaluate(_)
                | Self::PermuteAdd(_)
                | Self::MulAccumulate(..)
                | Self::PermuteAccumulate(..)
                | Self::ModUp(_)
                | Self::Step(_)
                | Self::KeySwitch(_)
                | Self::Embed(..)
                | Self::Decode(..)
        )
    }

    /// Whether the result is slots, as [`Call::slots`] gives them, and no rows.
    pub(super) fn gives_slots(&self) -> bool {
        matches!(self, Self::Decode(..))
    }

    /// The slots of a call that gives some: the words of their f64, low words first, real parts before imaginary ones.
    pub(super) fn slots<B: Backend>(
        &self,
        b: &B,
        t: &B::Tables,
        by_body: bool,
        src: &[Ref<B>],
    ) -> Result<Vec<u32>, String> {
        let (Self::Decode(embedding, crt, scale, count), [src]) = (self, src) else {
            return Err(String::from("a call that gives no slots"));
        };
        let mut slots = vec![Complex::default(); src.span.items * count];
        let done = match by_body {
            true => derived::decode(b, t, *src, embedding, crt, scale, &mut slots),
            false => b.decode(t, *src, embedding, crt, scale, &mut slots),
        };
        done.map_err(|e| e.to_string())?;
        Ok(bytemuck::cast_slice(&slots).to_vec())
    }

    /// Runs the backend's method, or the derived body. `src` holds as many operands as the operation has.
    pub(super) fn apply<B: Backend>(
        &self,
        b: &B,
        t: &B::Tables,
        by_body: bool,
        dst: Mut<B>,
        src: &[Ref<B>],
    ) -> Result<(), String> {
        let first = || src.first().copied().ok_or("an operand is missing");
        let second = || src.get(1).copied().ok_or("an operand is missing");
        let done = match self {
            Self::Copy => b.copy(dst, first()?),
            Self::Zero => b.zero(dst),
            Self::Add => b.add(t, dst, first()?),
            Self::Sub => b.sub(t, dst, first()?),
            Self::Neg => b.neg(t, dst),
            Self::Mul => b.mul(t, dst, first()?, second()?),
            Self::MulAdd => b.mul_add(t, dst, first()?, second()?),
            Self::MulConst(c) => b.mul_const(t, dst, first()?, c),
            Self::MulConstAdd(c) => b.mul_const_add(t, dst, first()?, c),
            Self::AddConst(c) => b.add_const(t, dst, c),
            Self::MulI => b.mul_i(t, dst),
            Self::Permute(g) => b.permute(t, dst, first()?, g),
            Self::Ntt => b.ntt(t, dst),
            Self::Intt => b.intt(t, dst),
            Self::Lift(values) => b.lift(t, dst, *values),
            Self::Convert(c) => {
                let prepared = b.conversion(t, c).map_err(|e| e.to_string())?;
                b.convert(t, dst, first()?, &prepared)
            }
            Self::Expand(seeds, label) => b.expand(t, dst, seeds, *label),
            Self::KeySwitch(switch) => return switch.apply(b, t, by_body, dst, first()?, second()?),
            Self::KeyInnerProduct(digits, keys) => {
                let prepared = prepare_all(b, t, keys)?;
                let keys: Vec<&B::Key> = prepared.iter().collect();
                b.key_inner_product(t, dst, first()?, digits, &keys)
            }
            Self::Gemm(weights) => b.gemm(t, dst, first()?, *weights),
            Self::Tensor(terms) if by_body => derived::tensor(b, t, dst, first()?, second()?, *terms),
            Self::Tensor(terms) => b.tensor(t, dst, first()?, second()?, *terms),
            Self::BlockProduct(terms) if by_body => {
                derived::block_product(b, t, dst, first()?, second()?, *terms)
            }
            Self::BlockProduct(terms) => b.block_product(t, dst, first()?, second()?, *terms),
            Self::SparseProduct(terms, items, values) => {
                let rows = compact(&primes_of(dst.span.rows));
                let sparse = match by_body {
                    true => derived::sparse(b, t, &rows, *items, *values),
                    false => b.sparse(t, &rows, *items, *values),
                };
                let sparse = sparse.map_err(|e| e.to_string())?;
                let factor = Ref::new(&sparse, Span::dense(*items, 1, &rows));
                match by_body {
                    true => derived::sparse_product(b, t, dst, first()?, factor, *terms),
                    false => b.sparse_product(t, dst, first()?, factor, *terms),
                }
            }
            Self::LightProduct(first, values, count) => {
                let length = values.len() / count;
                let buffer = match by_body {
                    true => derived::light(b, *count, length, values),
                    false => b.light(*count, length, values),
                };
                let buffer = &buffer.map_err(|e| e.to_string())?;
                let light = Light {
                    buffer,
                    first: *first,
                    length,
                };
                match by_body {
                    true => derived::light_product(b, t, dst, src, light),
                    false => b.light_product(t, dst, src, light),
                }
            }
            Self::Evaluate(values) if by_body => derived::evaluate(b, t, dst, *values),
            Self::Evaluate(values) => b.evaluate(t, dst, *values),
            Self::PermuteAdd(g) if by_body => derived::permute_add(b, t, dst, first()?, g),
            Self::PermuteAdd(g) => b.permute_add(t, dst, first()?, g),
            Self::MulAccumulate(onto, terms) => {
                let items = dst.span.items;
                let products = src.as_chunks::<2>().0.iter().flat_map(|[a, b]| {
                    (0..*terms).map(move |term| Product {
                        a: a.map(|s| s.slice_items(term * items, items)),
                        b: b.map(|s| s.slice_items(term * items, items)),
                    })
                });
                let products: Vec<_> = products.collect();
                match by_body {
                    true => derived::mul_accumulate(b, t, dst, *onto, &products),
                    false => b.mul_accumulate(t, dst, *onto, &products),
                }
            }
            Self::PermuteAccumulate(onto, g) => {
                let moved = (src.iter().zip(*g)).map(|(src, g)| Moved {
                    src: *src,
                    element: *g,
                });
                let moved: Vec<_> = moved.collect();
                match by_body {
                    true => derived::permute_accumulate(b, t, dst, *onto, &moved),
                    false => b.permute_accumulate(t, dst, *onto, &moved),
                }
            }
            Self::ModUp(list) => {
                let digits = digits(b, t, list)?;
                match by_body {
                    true => derived::mod_up(b, t, dst, first()?, &digits),
                    false => b.mod_up(t, dst, first()?, &digits),
                }
            }
            Self::Step(step) => {
                let step = basis_step(b, t, step)?;
                match by_body {
                    true => derived::step(b, t, dst, first()?, &step),
                    false => b.step(t, dst, first()?, &step),
                }
            }
            Self::Embed(embedding, slots, scale) => {
                let done = match by_body {
                    true => derived::embed(b, t, dst, embedding, slots, *scale),
                    false => b.embed(t, dst, embedding, slots, *scale),
                };
                return done.map_err(|e| e.to_string());
            }
            Self::Decode(..) => return Err(String::from("a call that gives slots and no rows")),
        };
        done.map_err(|e| e.to_string())
    }
}

/// A buffer with the operand's rows, and nothing else written.
pub(super) fn load<B: Backend>(b: &B, t: &B::Tables, operand: &Operand) -> Result<B::Buffer, String> {
    let mut buffer = b
        .alloc(b.log_n(t), operand.capacity())
        .map_err(|e| e.to_string())?;
    b.upload(Mut::new(&mut buffer, operand.stored()), &operand.words)
        .map_err(|e| e.to_string())?;
    Ok(buffer)
}

impl Switch<'_> {
    fn apply<B: Backend>(
        &self,
        b: &B,
        t: &B::Tables,
        by_body: bool,
        dst: Mut<B>,
        src: Ref<B>,
        addend: Ref<B>,
    ) -> Result<(), String> {
        let digits = digits(b, t, self.digits)?;
        let step = self.step.map(|s| basis_step(b, t, s)).transpose()?;
        let (extended, prepared) = (compact(self.extended), prepare_all(b, t, self.keys)?);
        let keys: Vec<&B::Key> = prepared.iter().collect();
        let k = KeySwitch {
            digits: &digits,
            extended: &extended,
            keys: &keys,
            factor: self.factor,
            elements: self.elements,
            step: step.as_ref(),
        };
        let done = match (self.extended_already, by_body) {
            (false, false) => b.key_switch(t, dst, src, addend, &k),
            (false, true) => derived::key_switch(b, t, dst, src, addend, &k),
            (true, false) => b.switch_digits(t, dst, src, addend, &k),
            (true, true) => derived::switch_digits(b, t, dst, src, addend, &k),
        };
        done.map_err(|e| e.to_string())
    }
}

fn prepare<B: Backend>(b: &B, t: &B::Tables, key: &Operand) -> Result<B::Key, String> {
    let buffer = load(b, t, key)?;
    b.prepare(t, Ref::new(&buffer, key.span()))
        .map_err(|e| e.to_string())
}

fn prepare_all<B: Backend>(b: &B, t: &B::Tables, keys: &[Operand]) -> Result<Vec<B::Key>, String> {
    keys.iter().map(|key| prepare(b, t, key)).collect()
}

fn basis_step<B: Backend>(b: &B, t: &B::Tables, step: &Step) -> Result<BasisStep<B>, String> {
    Ok(BasisStep {
        step: step.clone(),
        conversion: b.conversion(t, &step.conversion).map_err(|e| e.to_string())?,
    })
}

fn digits<B: Backend>(b: &B, t: &B::Tables, digits: &[Digit]) -> Result<Vec<DigitStep<B>>, String> {
    digits.iter().map(|d| digit(b, t, d)).collect()
}

fn digit<B: Backend>(b: &B, t: &B::Tables, digit: &Digit) -> Result<DigitStep<B>, String> {
    Ok(DigitStep {
        digit: digit.digit,
        sources: digit.conversion.sources.clone(),
        targets: digit.conversion.targets.clone(),
        conversion: b.conversion(t, &digit.conversion).map_err(|e| e.to_string())?,
    })
}
