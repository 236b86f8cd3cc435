//! A backend whose memory is out of reach: buffers are numbers, and the memory they name lives in a private store.
//!
//! It computes with another backend, but nothing above it can borrow a host slice, as with a real device. Derived
//! operations run through their derived bodies.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    backend::{Backend, BackendError, Capabilities, Integers, Matrix, Mut, Ref, Result},
    ring::{Basis, Conversion, Galois},
    sample::PublicSeed,
};

/// A backend behind handles.
pub struct Opaque<B: Backend> {
    inner: B,
    store: Arc<Mutex<Store<B>>>,
}

struct Store<B: Backend> {
    buffers: HashMap<u64, B::Buffer>,
    next: u64,
}

/// The name of some memory.
pub struct Handle<B: Backend> {
    id: u64,
    store: Arc<Mutex<Store<B>>>,
}

fn lock<B: Backend>(store: &Mutex<Store<B>>) -> MutexGuard<'_, Store<B>> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Backend> Drop for Handle<B> {
    fn drop(&mut self) {
        lock(&self.store).buffers.remove(&self.id);
    }
}

fn lost() -> BackendError {
    BackendError::Lost {
        reason: String::from("a handle names no memory"),
    }
}

impl<B: Backend> Opaque<B> {
    /// Hides the memory of `inner`.
    pub fn new(inner: B) -> Self {
        let store = Store {
            buffers: HashMap::new(),
            next: 0,
        };
        Self {
            inner,
            store: Arc::new(Mutex::new(store)),
        }
    }

    /// Runs `f` on the inner memory: the destination is taken out of the store meanwhile.
    fn with<const K: usize>(
        &self,
        dst: Mut<Self>,
        src: [Ref<Self>; K],
        f: impl FnOnce(Mut<B>, [Ref<B>; K]) -> Result<()>,
    ) -> Result<()> {
        let mut store = lock(&self.store);
        let mut buffer = store.buffers.remove(&dst.buffer.id).ok_or_else(lost)?;
        let result = (|| {
            let mut inner = Vec::with_capacity(K);
            for r in src {
                let buffer = store.buffers.get(&r.buffer.id).ok_or_else(lost)?;
                inner.push(Ref::new(buffer, r.span));
            }
            let inner: [Ref<B>; K] = inner.try_into().map_err(|_| lost())?;
            f(Mut::new(&mut buffer, dst.span), inner)
        })();
        store.buffers.insert(dst.buffer.id, buffer);
        result
    }

    fn reading<T>(&self, src: Ref<Self>, f: impl FnOnce(Ref<B>) -> Result<T>) -> Result<T> {
        let store = lock(&self.store);
        let buffer = store.buffers.get(&src.buffer.id).ok_or_else(lost)?;
        f(Ref::new(buffer, src.span))
    }
}

impl<B: Backend> Backend for Opaque<B> {
    type Buffer = Handle<B>;
    type Tables = B::Tables;
    type Conversion = B::Conversion;
    type Key = B::Key;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "opaque",
            ..self.inner.capabilities()
        }
    }

    fn alloc(&self, log_n: u32, rows: usize) -> Result<Handle<B>> {
        let buffer = self.inner.alloc(log_n, rows)?;
        let mut store = lock(&self.store);
        let id = store.next;
        store.next += 1;
        store.buffers.insert(id, buffer);
        Ok(Handle {
            id,
            store: Arc::clone(&self.store),
        })
    }

    fn upload(&self, dst: Mut<Self>, words: &[u32]) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.upload(d, words))
    }

    fn download(&self, src: Ref<Self>, words: &mut [u32]) -> Result<()> {
        self.reading(src, |s| self.inner.download(s, words))
    }

    fn copy(&self, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.copy(d, s))
    }

    fn zero(&self, dst: Mut<Self>) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.zero(d))
    }

    fn tables(&self, basis: &Basis) -> Result<B::Tables> {
        self.inner.tables(basis)
    }

    fn log_n(&self, t: &B::Tables) -> u32 {
        self.inner.log_n(t)
    }

    fn conversion(&self, t: &B::Tables, constants: &Conversion) -> Result<B::Conversion> {
        self.inner.conversion(t, constants)
    }

    fn wait(&self) -> Result<()> {
        self.inner.wait()
    }

    fn add(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.add(t, d, s))
    }

    fn sub(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.sub(t, d, s))
    }

    fn neg(&self, t: &B::Tables, dst: Mut<Self>) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.neg(t, d))
    }

    fn mul(&self, t: &B::Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.with(dst, [a, b], |d, [a, b]| self.inner.mul(t, d, a, b))
    }

    fn mul_add(&self, t: &B::Tables, dst: Mut<Self>, a: Ref<Self>, b: Ref<Self>) -> Result<()> {
        self.with(dst, [a, b], |d, [a, b]| self.inner.mul_add(t, d, a, b))
    }

    fn mul_const(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.mul_const(t, d, s, c))
    }

    fn mul_const_add(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>, c: &[u32]) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.mul_const_add(t, d, s, c))
    }

    fn add_const(&self, t: &B::Tables, dst: Mut<Self>, c: &[u32]) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.add_const(t, d, c))
    }

    fn mul_i(&self, t: &B::Tables, dst: Mut<Self>) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.mul_i(t, d))
    }

    fn permute(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>, g: &[Galois]) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.permute(t, d, s, g))
    }

    fn ntt(&self, t: &B::Tables, dst: Mut<Self>) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.ntt(t, d))
    }

    fn intt(&self, t: &B::Tables, dst: Mut<Self>) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.intt(t, d))
    }

    fn lift(&self, t: &B::Tables, dst: Mut<Self>, values: Integers) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.lift(t, d, values))
    }

    fn convert(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>, c: &B::Conversion) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.convert(t, d, s, c))
    }

    fn expand(&self, t: &B::Tables, dst: Mut<Self>, seeds: &[PublicSeed], label: u64) -> Result<()> {
        self.with(dst, [], |d, []| self.inner.expand(t, d, seeds, label))
    }

    fn prepare(&self, t: &B::Tables, key: Ref<Self>) -> Result<B::Key> {
        self.reading(key, |k| self.inner.prepare(t, k))
    }

    fn key_inner_product(
        &self,
        t: &B::Tables,
        dst: Mut<Self>,
        src: Ref<Self>,
        digits: &[u32],
        keys: &[&B::Key],
    ) -> Result<()> {
        self.with(dst, [src], |d, [s]| {
            self.inner.key_inner_product(t, d, s, digits, keys)
        })
    }

    fn gemm(&self, t: &B::Tables, dst: Mut<Self>, src: Ref<Self>, weights: Matrix) -> Result<()> {
        self.with(dst, [src], |d, [s]| self.inner.gemm(t, d, s, weights))
    }
}
