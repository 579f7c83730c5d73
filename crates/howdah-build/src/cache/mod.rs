//! What builds remember, in tables of the store's database.

mod layers;
mod lock;
mod records;
mod tables;

pub(crate) use layers::{Memory, save_content};
pub(crate) use lock::{KeyLock, KeyLocks};
pub(crate) use records::{Records, save_cost, save_record};
pub(crate) use tables::migrate;
