//! What builds remember, in tables of the store's database.

mod layers;
mod lock;
mod records;
mod tables;

pub(crate) use layers::Memory;
pub(crate) use lock::{KeyLock, KeyLocks};
pub(crate) use records::Records;
pub(crate) use tables::migrate;
