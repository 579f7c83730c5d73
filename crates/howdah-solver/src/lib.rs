//! A generic solver of directed acyclic graphs with cache keys, after `solver/types.go` of moby/buildkit.
//!
//! A [`Graph`] holds vertices: an operation, the digest of what it does, and the vertices it reads. Equal vertices
//! are one. [`solve`] brings the wanted vertices to their outputs: looked up by definition first, then by the content
//! of their inputs, executed only if both miss. Nothing here knows what an operation is; an [`Executor`] does, and a
//! [`Cache`] remembers.

mod cancel;
mod graph;
mod key;
mod schedule;
mod solve;
#[cfg(test)]
mod tests;

use std::error::Error;

pub use cancel::{Cancel, Hook};
pub use graph::{Class, Graph, Vertex, VertexId};
pub use key::{Key, Recipe};
pub use schedule::Limits;
pub use solve::{Event, Hit, Prediction, Resolution, Solution, SolveError, Solver};

/// Does the work that a vertex describes.
pub trait Executor: Sync {
    /// What a vertex does.
    type Op: Send + Sync;
    /// What it gives; cheap to clone.
    type Output: Clone + Send + Sync;
    /// Why it could not.
    type Error: Error + Send + 'static;

    /// The digest of the part of input number `input` that the vertex reads, so that an input which was made anew with
    /// the same content changes nothing. `None` if the content cannot be named at a bearable cost: then only the
    /// definition counts.
    fn content(
        &self,
        vertex: &Vertex<Self::Op>,
        input: usize,
        output: &Self::Output,
    ) -> Result<Option<Key>, Self::Error>;

    /// Does the work. Must return soon after `cancel` has fired.
    fn execute(
        &self,
        id: VertexId,
        vertex: &Vertex<Self::Op>,
        inputs: &[Self::Output],
        cancel: &Cancel,
    ) -> Result<Outcome<Self::Output>, Self::Error>;
}

/// What an execution gave.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// The output.
    pub output: T,
    /// False if the output must not be remembered, because an input moved under the execution. What stands on it is
    /// not remembered either.
    pub cacheable: bool,
}

/// Remembers outputs by key, for this process and for others at the same time.
pub trait Cache: Sync {
    /// What is remembered.
    type Output;
    /// Why it could not.
    type Error;
    /// Held while one process makes the output of a key; dropping it lets the next one go on.
    type Guard;

    /// The outputs remembered under `keys`, in their order; only those that are still whole.
    fn find(&self, keys: &[Key]) -> Result<Vec<Option<Self::Output>>, Self::Error>;

    /// Remembers one output under several keys.
    fn save(&self, keys: &[Key], output: &Self::Output) -> Result<(), Self::Error>;

    /// Waits until no other thread or process makes the output of `key`. `None` if `cancel` fired first.
    fn lock(&self, key: &Key, cancel: &Cancel) -> Result<Option<Self::Guard>, Self::Error>;
}
