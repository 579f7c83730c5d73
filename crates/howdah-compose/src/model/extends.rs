//! `extends:`: another service as the base of this one.
//!
//! See <https://github.com/compose-spec/compose-spec/blob/main/05-services.md#extends>.

use std::path::{Path, PathBuf};

use super::assemble::{Source, documents, prepare};
use super::canonical::Base;
use super::fault::{Fault, Findings, Origin};
use super::load::LoadError;
use super::merge::merge;
use super::node::{Map, Node};

/// Where a service was looked up: a file (none = the file at hand), and its name.
type Place = (Option<PathBuf>, String);

/// Resolves every `extends:` of a document. `below` is what earlier files gave, for bases that stand there.
pub(crate) fn apply(
    document: &mut Node,
    below: Option<&Node>,
    source: &Source<'_>,
    findings: &mut Findings,
) -> Result<(), LoadError> {
    let Some(services) = services(document) else {
        return Ok(());
    };
    let names: Vec<String> = services
        .entries
        .iter()
        .filter(|entry| {
            entry
                .node
                .as_map()
                .is_some_and(|service| service.get("extends").is_some())
        })
        .map(|entry| entry.key.clone())
        .collect();
    let original = document.clone();
    for name in names {
        let scope = Scope {
            document: &original,
            below,
            source,
        };
        let resolved = scope.resolve(&name, &mut vec![(None, name.clone())], findings)?;
        let slot = document
            .as_map_mut()
            .and_then(|root| root.get_mut("services"))
            .and_then(Node::as_map_mut);
        if let (Some(services), Some(node)) = (slot, resolved) {
            services.insert(&name, node);
        }
    }
    Ok(())
}

fn services(document: &Node) -> Option<&Map> {
    document.as_map()?.get("services")?.as_map()
}

struct Scope<'a> {
    document: &'a Node,
    below: Option<&'a Node>,
    source: &'a Source<'a>,
}

impl Scope<'_> {
    /// The service with its base already under it; none when there is no such service.
    fn resolve(
        &self,
        name: &str,
        chain: &mut Vec<Place>,
        findings: &mut Findings,
    ) -> Result<Option<Node>, LoadError> {
        let here = services(self.document).and_then(|services| services.get(name));
        let node = here.or_else(|| {
            self.below
                .and_then(services)
                .and_then(|services| services.get(name))
        });
        let Some(node) = node else { return Ok(None) };
        let mut over = node.clone();
        let Some(extends) = over.as_map_mut().and_then(|map| map.remove("extends")) else {
            return Ok(Some(over));
        };
        let field = |key: &str| {
            extends
                .as_map()
                .and_then(|map| map.get(key))
                .and_then(Node::as_str)
        };
        let Some(base_name) = field("service") else {
            findings.fault(Fault::at(
                &extends.origin,
                format!("services.{name}.extends: needs `service`"),
            ));
            return Ok(Some(over));
        };
        let file = field("file").map(PathBuf::from);
        let found = match file {
            Some(file) => self.in_file(&file, base_name, chain, findings)?,
            None => self.in_this_file(base_name, &extends.origin, chain, findings)?,
        };
        let Some(mut base) = found else {
            findings.fault(Fault::at(
                &extends.origin,
                format!("services.{name}.extends: there is no service `{base_name}`"),
            ));
            return Ok(Some(over));
        };
        merge(
            &mut base,
            over,
            &mut vec!["services".to_owned(), name.to_owned()],
        );
        Ok(Some(base))
    }

    fn in_this_file(
        &self,
        name: &str,
        at: &Origin,
        chain: &mut Vec<Place>,
        findings: &mut Findings,
    ) -> Result<Option<Node>, LoadError> {
        let file = chain.last().and_then(|(file, _)| file.clone());
        let place = (file, name.to_owned());
        if chain.contains(&place) {
            let names: Vec<&str> = chain
                .iter()
                .map(|(_, name)| name.as_str())
                .chain([name])
                .collect();
            findings.fault(Fault::at(
                at,
                format!("services extend each other: {}", names.join(" -> ")),
            ));
            return Ok(Some(Node::new(super::node::Value::Map(Map::default()), at)));
        }
        chain.push(place);
        self.resolve(name, chain, findings)
    }

    fn in_file(
        &self,
        file: &Path,
        name: &str,
        chain: &mut Vec<Place>,
        findings: &mut Findings,
    ) -> Result<Option<Node>, LoadError> {
        let place = (Some(file.to_owned()), name.to_owned());
        if chain.contains(&place) {
            findings.fault(Fault::nowhere(format!(
                "`{name}` of {} extends itself",
                file.display()
            )));
            return Ok(None);
        }
        chain.push(place);
        let directory = file
            .parent()
            .unwrap_or(&self.source.base.directory)
            .to_owned();
        let base = Base {
            directory,
            home: self.source.base.home.clone(),
        };
        let source = Source {
            base: &base,
            files: &[],
            stdin: None,
            variables: self.source.variables,
        };
        let mut whole: Option<Node> = None;
        for mut document in documents(file, None, findings)? {
            prepare(&mut document, &source, findings);
            match &mut whole {
                Some(whole) => merge(whole, document, &mut Vec::new()),
                None => whole = Some(document),
            }
        }
        let Some(document) = whole else {
            return Ok(None);
        };
        Scope {
            document: &document,
            below: None,
            source: &source,
        }
        .resolve(name, chain, findings)
    }
}
