//! The language model as a server holds it: integer matrices, and everything else as the `f32` values that they were trained as.
//!
//! It carries the digest of the parameters that it is evaluated under. Its sizes, alphabet and labels are those of the one model
//! there is; they are stored so that a reader sees that it is this one.

use super::{Kind, Record, Result, Sink, Source, WireError, keys::digest_of};
use crate::{
    backend::Backend,
    model::{ALPHABET, Config, HEADS, Integers, LABELS, Quantised, VALUE_LIMIT, WEIGHT_BITS},
    rlwe::Context,
};

/// The sizes as numbers, in the order of the file.
fn sizes() -> [u32; 7] {
    let c = Config::LANGUAGE;
    [
        c.vocabulary,
        c.window,
        c.width,
        c.heads,
        c.hidden,
        c.classes,
        WEIGHT_BITS as usize,
    ]
    .map(|n| n as u32)
}

/// Name, inputs and outputs of every matrix, in the order of the file.
const MAPS: [(&str, usize, usize); 7] = {
    let c = Config::LANGUAGE;
    [
        ("query", c.width, c.width),
        ("key", c.width, c.width),
        ("value", c.width, c.width),
        ("output", c.width, c.width),
        ("up", c.width, c.hidden),
        ("down", c.hidden, c.width),
        ("head", c.width, c.classes),
    ]
};

/// What the first section holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSummary {
    /// Sizes.
    pub config: Config,
    /// Fractional bits of a weight.
    pub weight_bits: u32,
    /// Least difference between the two largest probabilities for a language to be named.
    pub margin: f32,
}

/// Numbers of the embedding table.
const EMBEDDINGS: usize = Config::LANGUAGE.vocabulary * Config::LANGUAGE.width;
const EMBEDDING_BYTES: u64 = 4 * EMBEDDINGS as u64;

fn map_bytes(inputs: usize, outputs: usize) -> u64 {
    (2 * inputs * outputs + 4 * outputs) as u64
}

/// Bytes of every section.
pub(super) fn sections() -> Vec<u64> {
    let text = |bytes: usize| 2 + bytes;
    let labels: usize = LABELS.iter().map(|l| text(l.len())).sum();
    let index = 4 * sizes().len() + 4 + 8 * HEADS + text(ALPHABET.len()) + labels;
    let mut sections = vec![index as u64];
    sections.extend(MAPS.map(|(_, inputs, outputs)| map_bytes(inputs, outputs)));
    sections.push(EMBEDDING_BYTES);
    sections
}

/// Names of the sections behind the first, in order.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    MAPS.iter().map(|(name, ..)| *name).chain(["embedding"])
}

/// Values that are `f32` exactly, as they come from a trained model.
fn write_values(sink: &mut Sink<'_>, what: &'static str, values: &[f64]) -> Result<()> {
    let mut bytes = vec![0; 4 * values.len()];
    let (words, _) = bytes.as_chunks_mut::<4>();
    for (word, value) in words.iter_mut().zip(values) {
        let short = *value as f32;
        if f64::from(short) != *value || short.abs() > VALUE_LIMIT {
            let allowed = format!("32-bit floating-point numbers up to {VALUE_LIMIT} are stored");
            return Err(WireError::field(what, value, allowed));
        }
        *word = short.to_le_bytes();
    }
    sink.put(&bytes)
}

fn read_values(source: &mut Source<'_>, what: &'static str, count: usize) -> Result<Vec<f64>> {
    let mut bytes = vec![0; 4 * count];
    source.take(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    let value = |word: &[u8; 4]| {
        let value = f32::from_le_bytes(*word);
        // Written so that a NaN, which no comparison accepts, counts as outside.
        if !(-VALUE_LIMIT..=VALUE_LIMIT).contains(&value) {
            let allowed = format!("a finite value of at most {VALUE_LIMIT} belongs there");
            return Err(WireError::field(what, value, allowed));
        }
        Ok(f64::from(value))
    };
    words.iter().map(value).collect()
}

fn write_text(sink: &mut Sink<'_>, text: &str) -> Result<()> {
    sink.put(&(text.len() as u16).to_le_bytes())?;
    sink.put(text.as_bytes())
}

/// Demands this very text.
fn read_text(source: &mut Source<'_>, what: &'static str, wanted: &str) -> Result<()> {
    let mut bytes = vec![0; usize::from(source.u16()?)];
    source.take(&mut bytes)?;
    if bytes != wanted.as_bytes() {
        let value = format!("{:?}", String::from_utf8_lossy(&bytes));
        return Err(WireError::field(what, value, format!("the model has {wanted:?}")));
    }
    Ok(())
}

/// The first section, up to `shift` and `offset`.
pub(super) fn read_index(source: &mut Source<'_>) -> Result<(ModelSummary, Vec<f64>)> {
    let wanted = sizes();
    let mut found = [0; 7];
    for n in &mut found {
        *n = source.u32()?;
    }
    if found != wanted {
        let value = format!("{found:?}");
        let allowed = format!("this program knows the model of {wanted:?}");
        return Err(WireError::field("the list of the model's sizes", value, allowed));
    }
    let margin = f32::from_le_bytes(source.array()?);
    if !(0.0..=1.0).contains(&margin) {
        return Err(WireError::field(
            "the margin",
            margin,
            "a value from 0 to 1 belongs there",
        ));
    }
    let per_head = read_values(source, "a shift or offset of a head", 2 * HEADS)?;
    read_text(source, "the alphabet", ALPHABET)?;
    for label in LABELS {
        read_text(source, "a label", label)?;
    }
    let summary = ModelSummary {
        config: Config::LANGUAGE,
        weight_bits: WEIGHT_BITS,
        margin,
    };
    Ok((summary, per_head))
}

fn read_map(source: &mut Source<'_>, inputs: usize, outputs: usize) -> Result<Integers> {
    let mut bytes = vec![0; 2 * inputs * outputs];
    source.take(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<2>();
    let weight: Vec<i16> = words.iter().map(|w| i16::from_le_bytes(*w)).collect();
    if weight.contains(&i16::MIN) {
        let allowed = format!("{} is the least", -i16::MAX);
        return Err(WireError::field("a weight", i16::MIN, allowed));
    }
    Ok(Integers {
        inputs,
        outputs,
        weight,
        bias: read_values(source, "a bias", outputs)?,
    })
}

fn maps(model: &Quantised) -> [&Integers; 7] {
    [
        &model.query,
        &model.key,
        &model.value,
        &model.output,
        &model.up,
        &model.down,
        &model.head,
    ]
}

impl<B: Backend> Record<Context<B>> for Quantised {
    const KIND: Kind = Kind::Model;

    fn expected(ctx: &Context<B>) -> Option<[u8; 32]> {
        Some(digest_of(ctx))
    }

    fn parameters(&self, ctx: &Context<B>) -> Result<[u8; 32]> {
        Ok(digest_of(ctx))
    }

    fn sections(&self, _: &Context<B>) -> Result<Vec<u64>> {
        if self.embedding.len() != EMBEDDINGS {
            let allowed = format!("the model has {EMBEDDINGS}");
            return Err(WireError::field(
                "the number of embeddings",
                self.embedding.len(),
                allowed,
            ));
        }
        for (map, (name, inputs, outputs)) in maps(self).iter().zip(MAPS) {
            let have = (map.inputs, map.outputs, map.weight.len(), map.bias.len());
            if have != (inputs, outputs, inputs * outputs, outputs) {
                let allowed = format!("the model's {name} takes {inputs} to {outputs}");
                return Err(WireError::field(
                    "the shape of a matrix",
                    format!("{have:?}"),
                    allowed,
                ));
            }
        }
        Ok(sections())
    }

    fn write(&self, _: &Context<B>, sink: &mut Sink<'_>) -> Result<()> {
        sink.numbers(&sizes())?;
        write_values(sink, "the margin", &[f64::from(self.margin)])?;
        write_values(sink, "a shift of a head", &self.shift)?;
        write_values(sink, "an offset of a head", &self.offset)?;
        write_text(sink, ALPHABET)?;
        LABELS.iter().try_for_each(|label| write_text(sink, label))?;
        sink.end()?;
        for map in maps(self) {
            let bytes: Vec<u8> = map.weight.iter().flat_map(|w| w.to_le_bytes()).collect();
            sink.put(&bytes)?;
            write_values(sink, "a bias", &map.bias)?;
            sink.end()?;
        }
        write_values(sink, "an embedding", &self.embedding)?;
        sink.end()
    }

    fn read(_: &Context<B>, source: &mut Source<'_>) -> Result<Self> {
        let (summary, per_head) = source.first("index", read_index)?;
        let lengths = sections();
        let rest = lengths[1..].iter().sum();
        source.demand("the sections of the model", Some(rest), lengths.len() as u64 - 1)?;
        let mut map = |(name, inputs, outputs): (&str, usize, usize)| {
            let bytes = map_bytes(inputs, outputs);
            source.section(format_args!("{name}"), bytes, |source| {
                read_map(source, inputs, outputs)
            })
        };
        Ok(Self {
            query: map(MAPS[0])?,
            key: map(MAPS[1])?,
            value: map(MAPS[2])?,
            output: map(MAPS[3])?,
            up: map(MAPS[4])?,
            down: map(MAPS[5])?,
            head: map(MAPS[6])?,
            embedding: source.section(format_args!("embedding"), EMBEDDING_BYTES, |source| {
                read_values(source, "an embedding", EMBEDDINGS)
            })?,
            shift: std::array::from_fn(|h| per_head[h]),
            offset: std::array::from_fn(|h| per_head[HEADS + h]),
            margin: summary.margin,
        })
    }
}
