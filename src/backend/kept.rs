//! What is made when it is first needed and kept from then on: tables, by what they are for.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};

/// Values by key, each made once.
pub(super) struct Kept<K, V>(RwLock<HashMap<K, Arc<V>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// What is kept for the key, or what `new` makes, unless another thread was faster. Nothing is locked meanwhile.
    pub(super) fn get<E>(
        &self,
        key: K,
        new: impl FnOnce() -> std::result::Result<V, E>,
    ) -> std::result::Result<Arc<V>, E> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&key) {
            return Ok(Arc::clone(value));
        }
        drop(known);
        let new = Arc::new(new()?);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(all.entry(key).or_insert(new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_a_failure_is_not_kept() {
        let kept = Kept::<u32, String>::default();
        assert_eq!(kept.get(1, || Err("no")), Err("no"));
        let first = kept.get(1, || Ok::<_, ()>(String::from("one"))).unwrap();
        let again = kept.get(1, || Err("made twice")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(*kept.get(2, || Ok::<_, ()>(String::from("two"))).unwrap(), "two");
    }
}
