//! Attention and the whole classifier, on a full batch of 256 windows of the shipped model.
//!
//! Floors count what the counting backend sees of the same computation, and the bytes of input and output.

use std::hint::black_box;

use super::{Case, Result, Shape, Work, floor::Ring};
use crate::{
    arith::Complex,
    backend::{Backend, null::Null},
    ckks::{Ciphertext, Ckks, Evaluator},
    model::{LanguageModel, Quantised, WIDTH},
    rlwe::{Context, EvaluationKeys, Params, SecretKey},
    transformer::{LanguageClassifier, Progress},
};

const ATTENTION: &str = "attention";
const CLASSIFY: &str = "classify";

pub(super) const OPS: &[&str] = &[ATTENTION, CLASSIFY];

/// Windows computed together: with 32 tokens each they fill the slots of N = 2^14.
const BATCH: usize = 256;

struct Operands<B: Backend> {
    ckks: Ckks<B>,
    classifier: LanguageClassifier,
    keys: EvaluationKeys<B>,
    x: Ciphertext<B>,
}

impl<B: Backend> Operands<B> {
    fn new(backend: B) -> Result<Self> {
        let params = Params::shipped("langid")?;
        let model = LanguageModel::builtin()?;
        let classifier = LanguageClassifier::new(&Quantised::from(&model), BATCH)?;
        let ckks = Ckks::new(&Context::new(backend, params.clone())?);
        let ctx = ckks.context().clone();
        let secret = SecretKey::generate(&ctx)?;
        let values: Vec<Complex> = (0..WIDTH * ckks.max_slots())
            .map(|i| Complex::from((i as f64).sin()))
            .collect();
        Ok(Self {
            x: (ckks.encrypt(&secret, &values, WIDTH, params.top())?).expand(&ctx)?,
            keys: (secret.evaluation_keys(&classifier.keys(&params))?).expand(&ctx)?,
            ckks,
            classifier,
        })
    }

    /// One run; the result is of no use to anyone.
    fn run(&self, op: &str) -> Result<Ciphertext<B>> {
        let ev = Evaluator::new(&self.ckks, &self.keys);
        let mut silent = |_, _, _| ();
        let mut progress = Progress::new(&mut silent);
        let result = if op == ATTENTION {
            (self.classifier.attention()).forward(&ev, &self.x, &mut progress)?
        } else {
            self.classifier.infer(&ev, &self.x, &mut progress)?
        };
        self.ckks.context().backend().wait()?;
        Ok(result)
    }
}

/// What one run does, counted.
fn work(op: &str) -> Result<Work> {
    let backend = Null::new();
    let operands = Operands::new(backend.clone())?;
    let ctx = operands.ckks.context();
    let rows = |ct: &Ciphertext<Null>| -> Result<usize> {
        let level = ctx.level("bench", ct.level())?;
        Ok(ct.items() * ct.components() * level.rows.len())
    };
    backend.reset();
    let result = operands.run(op)?;
    let counted = Work {
        products: backend.counts().products as f64,
        bytes: 0.0,
    };
    Ok(counted + Ring::new(ctx.log_n()).moved(rows(&operands.x)? + rows(&result)?))
}

/// The traffic of the attention block, fused and by the derived bodies.
#[cfg(feature = "cuda")]
pub(super) fn traffic() -> Result<super::traffic::Traffic> {
    use crate::backend::{conformance::Opaque, cuda::Cuda};

    let (fused, parts) = (Cuda::counting(), Cuda::counting());
    let (whole, unfused) = (
        Operands::new(fused.clone())?,
        Operands::new(Opaque::new(parts.clone()))?,
    );
    fused.launches();
    whole.run(ATTENTION)?;
    let launches = fused.launches();
    parts.launches();
    unfused.run(ATTENTION)?;
    let moved = parts.launches().iter().map(|l| l.moved_bytes()).sum();
    let log_n = whole.ckks.context().log_n();
    Ok(super::traffic::Traffic {
        operation: format!("attention block of the classifier, batch {BATCH}, N = 2^{log_n}"),
        log_n,
        launches,
        unfused_bytes: Some(moved),
        floor_bytes: work(ATTENTION)?.bytes,
    })
}

pub(super) fn cases<B: Backend>(backend: B, wanted: &[&str]) -> Result<Vec<Case>> {
    let operands = Operands::new(backend)?;
    let ctx = operands.ckks.context().clone();
    let level = ctx.level("bench", operands.x.level())?;
    let shape = Shape::of(&ctx, level, WIDTH);
    Case::chosen(OPS, wanted, shape, work, move |op| {
        drop(black_box(operands.run(op)?));
        Ok(())
    })
}
