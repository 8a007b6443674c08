//! An engine behind a pointer is an engine, so that wrappers fit over `Arc<dyn Engine>`.
//!
//! Absent on purpose: `Rc` and plain references, which no handle that outlives its maker can hold.

use super::{
    Batch, BoxFuture, Capability, DatabaseName, Durability, Engine, Read, ReadResult, Usage,
};
use crate::error::Result;
use std::sync::Arc;

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<T: Engine + ?Sized> Engine for $pointer<T> {
            fn capability(&self) -> Capability {
                (**self).capability()
            }

            fn read(
                &self,
                database: &DatabaseName,
                request: Read,
            ) -> BoxFuture<'_, Result<ReadResult>> {
                (**self).read(database, request)
            }

            fn commit(&self, batch: Batch, durability: Durability) -> BoxFuture<'_, Result<()>> {
                (**self).commit(batch, durability)
            }

            fn usage(&self, database: &DatabaseName) -> BoxFuture<'_, Result<Usage>> {
                (**self).usage(database)
            }

            fn compact(&self, database: &DatabaseName) -> BoxFuture<'_, Result<()>> {
                (**self).compact(database)
            }

            fn close(&self) -> BoxFuture<'_, Result<()>> {
                (**self).close()
            }
        }
    };
}

forward!(Arc);
forward!(Box);
