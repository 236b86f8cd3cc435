//! A key while it is used.

use std::{ops::Deref, sync::Arc};

use crate::backend::Backend;

/// A key in the order of the backend, for as long as it is used.
pub(crate) enum Prepared<'k, B: Backend> {
    /// The set's own.
    Own(&'k B::Key),
    /// A store's, which does not evict it meanwhile.
    Stored(Arc<B::Key>),
}

impl<B: Backend> Deref for Prepared<'_, B> {
    type Target = B::Key;

    fn deref(&self) -> &B::Key {
        match self {
            Self::Own(key) => key,
            Self::Stored(key) => key,
        }
    }
}
