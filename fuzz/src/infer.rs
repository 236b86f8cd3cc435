//! The encrypted classifier with loaded weights, or on loaded ciphertexts, on a ring of 128.

use cipherformer::{
    backend::cpu::Cpu,
    ckks::{Ciphertext, Evaluator, Release, SeededCiphertext},
    matmul::Columns,
    model::{Quantised, WIDTH, WINDOW},
    transformer::{LanguageClassifier, Progress, Requests},
};

use crate::{
    compute::{load, stored},
    home::{self, INFER, MODEL, WINDOWS},
};

fn run(classifier: &LanguageClassifier, x: &Ciphertext<Cpu>) {
    let (ckks, ctx) = (&INFER.scheme, INFER.scheme.context());
    let ev = Evaluator::new(ckks, &INFER.keys);
    let mut show = |_, _, _| ();
    // A ciphertext for every feature, made of the first.
    let x = x.every(0, 0, WIDTH).unwrap();
    let result = classifier.infer(&ev, &x, &mut Progress::new(&mut show));
    if let Ok(logits) = &result
        && let Ok(found) = ckks.decrypt(&INFER.secret, logits)
        && let Ok(slots) = found.release(Release::Owner)
    {
        let columns = Columns::new(WINDOW, WINDOWS).unwrap();
        let read = Requests::read(columns, WINDOWS, &slots);
        assert!(read.iter().flatten().all(|x| x.is_finite()));
        assert_eq!(read.len(), WINDOWS);
    }
    let _ = stored(ctx, result);
}

/// Whether the classifier was run.
pub fn infer(open: &[u8]) -> bool {
    let Some((kind, file)) = home::seal(open) else {
        return false;
    };
    let ctx = INFER.scheme.context();
    let loaded: Option<Ciphertext<Cpu>> = match kind {
        5 => load(&file, ctx).map(|seeded: SeededCiphertext<Cpu>| seeded.expand(ctx).unwrap()),
        6 => load(&file, ctx),
        10 => {
            let model: Option<Quantised> = load(&file, ctx);
            return model.is_some_and(|model| {
                let window = std::array::from_fn(|i| (i * 91 % 2916) as u16);
                model.forward(&window).unwrap();
                run(&home::classifier(&model).unwrap(), &INFER.partner);
                true
            });
        }
        _ => None,
    };
    loaded.is_some_and(|x| {
        run(&home::classifier(&MODEL).unwrap(), &x);
        true
    })
}
