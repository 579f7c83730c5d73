//! The graph: vertices merged by key, inputs before the vertices that read them.

use std::collections::HashMap;

use crate::key::{Key, Recipe};

/// The place of a vertex in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VertexId(usize);

impl VertexId {
    /// Its number, counted from zero in the order of [`Graph::add`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What an execution spends most of its time on; bounds how many run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Our own computing and copying.
    Work,
    /// A process in a container, which often waits for the network or a disk.
    Process,
}

/// One node of the graph.
#[derive(Debug)]
pub struct Vertex<O> {
    /// What it does.
    pub op: O,
    /// The digest of what it does, without its inputs.
    pub digest: Key,
    /// The vertices it reads, in the order the operation knows them.
    pub inputs: Vec<VertexId>,
    /// What bounds its execution.
    pub class: Class,
    /// Execute even if the output is remembered (`--no-cache`). Not in the key.
    pub ignore_cache: bool,
    key: Key,
}

impl<O> Vertex<O> {
    /// A vertex that may be answered from the cache.
    pub fn new(op: O, digest: Key, inputs: Vec<VertexId>, class: Class) -> Vertex<O> {
        Vertex {
            op,
            digest,
            inputs,
            class,
            ignore_cache: false,
            key: digest,
        }
    }

    /// The key by definition: what it does, and the keys of what it reads.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The key by content: what it does, and the content it reads.
    pub fn content_key(&self, contents: &[Key]) -> Key {
        let mut recipe = Recipe::new("content", 1);
        recipe.key("digest", &self.digest);
        for content in contents {
            recipe.key("input", content);
        }
        recipe.finish().0
    }
}

/// A directed graph without cycles: a vertex can only be added after its inputs.
#[derive(Debug)]
pub struct Graph<O> {
    vertices: Vec<Vertex<O>>,
    by_key: HashMap<Key, VertexId>,
}

impl<O> Default for Graph<O> {
    fn default() -> Graph<O> {
        Graph {
            vertices: Vec::new(),
            by_key: HashMap::new(),
        }
    }
}

impl<O> Graph<O> {
    /// Adds a vertex, or finds the equal one that is there already.
    ///
    /// # Panics
    /// If an input is not of this graph.
    pub fn add(&mut self, mut vertex: Vertex<O>) -> VertexId {
        let mut recipe = Recipe::new("definition", 1);
        recipe.key("digest", &vertex.digest);
        for input in &vertex.inputs {
            recipe.key("input", &self.vertices[input.0].key);
        }
        vertex.key = recipe.finish().0;
        let next = VertexId(self.vertices.len());
        let id = *self.by_key.entry(vertex.key).or_insert(next);
        if id == next {
            self.vertices.push(vertex);
        } else {
            self.vertices[id.0].ignore_cache |= vertex.ignore_cache;
        }
        id
    }

    /// The vertex at a place of this graph.
    pub fn vertex(&self, id: VertexId) -> &Vertex<O> {
        &self.vertices[id.0]
    }

    /// All vertices with their places, inputs first.
    pub fn iter(&self) -> impl Iterator<Item = (VertexId, &Vertex<O>)> {
        self.vertices
            .iter()
            .enumerate()
            .map(|(index, vertex)| (VertexId(index), vertex))
    }

    /// How many different vertices there are.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vertex(name: &'static str, inputs: &[VertexId]) -> Vertex<&'static str> {
        Vertex::new(name, Key::of(name.as_bytes()), inputs.to_vec(), Class::Work)
    }

    #[test]
    fn equal_vertices_are_one() {
        let mut graph = Graph::default();
        let base = graph.add(vertex("base", &[]));
        let first = graph.add(vertex("install", &[base]));
        let again = graph.add(vertex("base", &[]));
        assert_eq!(graph.add(vertex("install", &[again])), first);
        assert_eq!(graph.len(), 2);
    }

    #[test]
    fn what_is_read_is_in_the_key() {
        let mut graph = Graph::default();
        let (a, b) = (graph.add(vertex("a", &[])), graph.add(vertex("b", &[])));
        let on_a = graph.add(vertex("x", &[a]));
        let on_b = graph.add(vertex("x", &[b]));
        let on_both = graph.add(vertex("x", &[a, b]));
        let swapped = graph.add(vertex("x", &[b, a]));
        let keys: std::collections::HashSet<_> = [on_a, on_b, on_both, swapped]
            .iter()
            .map(|id| *graph.vertex(*id).key())
            .collect();
        assert_eq!(keys.len(), 4);
    }
}
