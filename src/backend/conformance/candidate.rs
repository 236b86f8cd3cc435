//! A backend as the suite sees it: opened on a basis, it runs calls.

use super::{
    call::{Call, load},
    operand::Operand,
};
use crate::{
    backend::{Backend, Mut, Ref, Span},
    ring::Basis,
};

/// What guards the rows around a destination.
const GUARD: u32 = 0x155a_a55a;

type Open<'b> = dyn Fn(&Basis) -> Result<Opened, String> + 'b;

/// A backend to be judged, of whatever type.
pub struct Candidate<'b>(Box<Open<'b>>);

impl<'b> Candidate<'b> {
    /// What `make` gives: a new backend for every basis.
    pub fn new<B: Backend>(make: impl Fn() -> B + 'b) -> Self {
        Self(Box::new(move |basis| {
            let backend = make();
            let tables = backend.tables(basis).map_err(|e| e.to_string())?;
            Ok(Opened(Box::new(On { backend, tables })))
        }))
    }

    /// With the tables of a basis, or why it does not take it.
    pub(super) fn open(&self, basis: &Basis) -> Result<Opened, String> {
        (self.0)(basis)
    }
}

/// A backend on a basis.
pub(super) struct Opened(Box<dyn Run>);

impl Opened {
    /// The rows of the destination after the call, then the guards around it, or the slots of a call that gives some; by the derived body
    /// if `by_body` says so.
    pub(super) fn run(
        &self,
        call: &Call,
        by_body: bool,
        dst: &Operand,
        src: &[Operand],
    ) -> Result<Vec<u32>, String> {
        self.0.run(call, by_body, dst, src)
    }
}

trait Run {
    fn run(&self, call: &Call, by_body: bool, dst: &Operand, src: &[Operand]) -> Result<Vec<u32>, String>;
}

struct On<B: Backend> {
    backend: B,
    tables: B::Tables,
}

impl<B: Backend> Run for On<B> {
    fn run(&self, call: &Call, by_body: bool, dst: &Operand, src: &[Operand]) -> Result<Vec<u32>, String> {
        let (b, t) = (&self.backend, &self.tables);
        let n = 1usize << b.log_n(t);
        let buffers = src.iter().map(|s| load(b, t, s)).collect::<Result<Vec<_>, _>>()?;
        let sources: Vec<Ref<B>> = buffers
            .iter()
            .zip(src)
            .map(|(buffer, s)| Ref::new(buffer, s.span()))
            .collect();
        if call.gives_slots() {
            return call.slots(b, t, by_body, &sources);
        }
        let others = dst.others();
        let guards = Span {
            offset: 0,
            items: 1,
            item_stride: 0,
            polys: 1,
            poly_stride: 0,
            rows: &others,
        };
        let mut target = match call.updates() {
            true => load(b, t, dst)?,
            false => b.alloc(b.log_n(t), dst.capacity()).map_err(|e| e.to_string())?,
        };
        b.upload(Mut::new(&mut target, guards), &vec![GUARD; others.len() * n])
            .map_err(|e| e.to_string())?;
        call.apply(b, t, by_body, Mut::new(&mut target, dst.span()), &sources)?;
        b.wait().map_err(|e| e.to_string())?;
        let mut words = vec![0; dst.span().count() * n];
        let mut around = vec![0; others.len() * n];
        b.download(Ref::new(&target, dst.span()), &mut words)
            .map_err(|e| e.to_string())?;
        b.download(Ref::new(&target, guards), &mut around)
            .map_err(|e| e.to_string())?;
        words.extend(around);
        Ok(words)
    }
}
