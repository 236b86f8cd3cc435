//! The language classifier on encrypted text: packing on the client, evaluation on the server, reading on the client.

use crate::{
    arith::Complex,
    backend::Backend,
    ckks::{Ciphertext, Evaluator, Result},
    matmul::{ColumnWeights, Columns},
    model::{CLASSES, Embedding, HEADS, Integers, ModelError, Quantised, WEIGHT_BITS, WIDTH, WINDOW, Window},
    rlwe::{KeyNeeds, Params},
    transformer::{Attention, Block, Head, Progress, Stage},
};

/// The server's side of the classifier: weights in column packing.
pub struct LanguageClassifier {
    block: Block,
    head: ColumnWeights,
}

fn column(map: &Integers) -> ColumnWeights {
    ColumnWeights {
        outputs: map.outputs,
        inputs: map.inputs,
        weights: map.weight.clone(),
        weight_bits: WEIGHT_BITS,
        bias: map.bias.clone(),
    }
}

impl LanguageClassifier {
    /// The quantised model for batches of `batch` windows, a power of two.
    pub fn new(model: &Quantised, batch: usize) -> Result<Self> {
        let heads = (0..HEADS).map(|h| Head {
            shift: model.shift[h],
            offset: model.offset[h],
        });
        let attention = Attention {
            columns: Columns::new(WINDOW, batch)?,
            halved: false,
            heads: heads.collect(),
            query: column(&model.query),
            key: column(&model.key),
            value: column(&model.value),
            output: column(&model.output),
        };
        let block = Block {
            attention,
            up: column(&model.up),
            down: column(&model.down),
        };
        Ok(Self {
            block,
            head: column(&model.head),
        })
    }

    /// Its attention layer.
    pub fn attention(&self) -> &Attention {
        &self.block.attention
    }

    /// The packing of texts.
    pub fn columns(&self) -> Columns {
        self.block.attention.columns
    }

    /// The keys that the server needs.
    pub fn keys(&self, params: &Params) -> KeyNeeds {
        self.columns().sum_keys(self.block.attention.keys(params))
    }

    /// Key switches of `infer`: (rotations, relinearisations).
    pub fn key_switches(&self) -> (usize, usize) {
        let (rotations, relinearisations) = self.block.key_switches();
        (
            rotations + CLASSES * self.columns().tokens().trailing_zeros() as usize,
            relinearisations,
        )
    }

    /// Logits of every window, one ciphertext a class; every token of a window carries them.
    pub fn infer<B: Backend>(
        &self,
        ev: &Evaluator<'_, B>,
        x: &Ciphertext<B>,
        progress: &mut Progress<'_>,
    ) -> Result<Ciphertext<B>> {
        progress.expect(1);
        let z = self.block.forward(ev, x, progress)?;
        progress.time(Stage::Head, || {
            let columns = self.columns();
            let sum = columns.sum_tokens(ev, &self.head.apply_linear(ev, &z)?)?;
            let mean = sum.divided_by_pow2(columns.tokens().trailing_zeros())?;
            ev.add_const_each(&mean, &self.head.bias)
        })
    }
}

/// The client's side: windows of text as slots, and logits from slots.
pub struct Requests {
    columns: Columns,
    windows: usize,
    values: Vec<Complex>,
}

impl Requests {
    /// Embeds up to `columns.batch()` windows by the public table: slot t B + b of ciphertext c is feature c of token t
    /// of window b. Free slots are zero.
    pub fn new(
        embedding: &Embedding,
        columns: Columns,
        windows: &[Window],
    ) -> std::result::Result<Self, ModelError> {
        let slots = columns.slots();
        let mut values = vec![Complex::default(); WIDTH * slots];
        for (b, window) in windows.iter().take(columns.batch()).enumerate() {
            for (i, x) in embedding.embed(window)?.iter().enumerate() {
                let (token, feature) = (i / WIDTH, i % WIDTH);
                values[feature * slots + columns.slot(token, b)] = Complex::from(f64::from(*x));
            }
        }
        Ok(Self {
            columns,
            windows: windows.len().min(columns.batch()),
            values,
        })
    }

    /// The slots of all features, one after the other; [`WIDTH`] items.
    pub fn values(&self) -> &[Complex] {
        &self.values
    }

    /// The logits of each window from the decrypted slots of [`CLASSES`] ciphertexts.
    pub fn logits(&self, slots: &[Complex]) -> Vec<[f64; CLASSES]> {
        Self::read(self.columns, self.windows, slots)
    }

    /// The same for a client that kept the number of windows only.
    pub fn read(columns: Columns, windows: usize, slots: &[Complex]) -> Vec<[f64; CLASSES]> {
        let value = |c: usize, b: usize| slots.get(c * columns.slots() + columns.slot(0, b));
        let of = |b: usize| std::array::from_fn(|c| value(c, b).map_or(f64::NAN, |z| z.re));
        (0..windows).map(of).collect()
    }
}
