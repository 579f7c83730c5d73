//! The Compose model: from files to a typed project, all faults at once and each with its place.
//!
//! The way: discover files and variables, YAML to nodes, interpolate, short syntax to long, extends, merge, include,
//! then types, references and profiles. Nodes keep the place they were written at through all of it.

mod assemble;
mod build;
mod canonical;
mod canonical_lists;
pub(crate) mod checks;
mod discover;
mod dotenv;
mod extends;
mod fault;
mod interpolate;
mod load;
mod merge;
mod mounts;
mod node;
mod ports;
mod project;
mod read_container;
mod read_mounts;
mod read_resources;
mod read_service;
mod render;
mod section;
mod service;
mod units;
mod words;
mod yaml;

/// YAML files as trees whose nodes know their places; for those who read other files than Compose's.
pub mod tree {
    use std::path::Path;

    use super::fault::Findings;
    pub use super::node::{Entry, Map, MergeTag, Node, Scalar, Value};

    /// Reads the documents of a file; none when it is not valid YAML.
    pub fn parse(text: &str, file: &Path) -> Vec<Node> {
        super::yaml::parse(text, file, &mut Findings::default())
    }
}

#[cfg(test)]
mod tests;

pub use build::{BuildContext, BuildSecret, BuildSection};
pub use fault::{Fault, Origin, Warning};
pub use interpolate::{InterpolationError, Variables, interpolate};
pub use load::{LoadError, LoadOptions, Loaded, load, load_with_document};
pub use mounts::{FileMount, MountSource, ServiceMount};
pub use ports::{Port, Protocol};
pub use project::{
    FileDefinition, FileSource, HostAddress, NetworkDefinition, Project, VolumeDefinition,
};
pub use render::Document;
pub use service::{
    Condition, ContainerSection, Dependency, Device, DnsSection, HealthcheckSection, LimitsSection,
    NetworkAttachment, NetworkMode, PullPolicy, RestartPolicy, SecuritySection, Service,
};
pub use words::{WordsError, split as split_words};
