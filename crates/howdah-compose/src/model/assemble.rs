//! Files to one node: parse, interpolate, long form, extends, merge, include.

use std::path::{Path, PathBuf};

use super::canonical::{self, Base};
use super::discover::{STDIN, env_files};
use super::extends;
use super::fault::{Fault, Findings, Origin};
use super::interpolate::{Variables, interpolate_node};
use super::load::LoadError;
use super::merge::{merge, settle};
use super::node::{Map, Node, Value};
use super::yaml;

/// The largest Compose file that is read.
const LARGEST_FILE: u64 = 8 << 20;
/// The most files that may include each other in a row.
const DEEPEST_INCLUDE: usize = 16;

/// One set of files that are merged over each other.
pub(crate) struct Source<'a> {
    pub(crate) files: &'a [PathBuf],
    /// What `-` holds.
    pub(crate) stdin: Option<&'a str>,
    pub(crate) base: &'a Base,
    pub(crate) variables: &'a Variables,
}

/// Reads a file's documents, not yet interpolated.
pub(crate) fn documents(
    file: &Path,
    stdin: Option<&str>,
    findings: &mut Findings,
) -> Result<Vec<Node>, LoadError> {
    if file.as_os_str() == STDIN {
        return Ok(yaml::parse(stdin.unwrap_or_default(), file, findings));
    }
    let size = fs_err::metadata(file)
        .map_err(|source| LoadError::Read { source })?
        .len();
    if size > LARGEST_FILE {
        return Err(LoadError::TooLarge {
            path: file.to_owned(),
        });
    }
    let text = fs_err::read_to_string(file).map_err(|source| LoadError::Read { source })?;
    Ok(yaml::parse(&text, file, findings))
}

/// Reads, merges and completes a source.
pub(crate) fn assemble(source: &Source<'_>, findings: &mut Findings) -> Result<Node, LoadError> {
    assemble_at(source, findings, 0)
}

fn assemble_at(
    source: &Source<'_>,
    findings: &mut Findings,
    depth: usize,
) -> Result<Node, LoadError> {
    let mut whole: Option<Node> = None;
    for file in source.files {
        for mut document in documents(file, source.stdin, findings)? {
            prepare(&mut document, source, findings);
            extends::apply(&mut document, whole.as_ref(), source, findings)?;
            match &mut whole {
                Some(whole) => merge(whole, document, &mut Vec::new()),
                None => whole = Some(document),
            }
        }
    }
    let first = source
        .files
        .first()
        .map_or(Path::new(STDIN), PathBuf::as_path);
    let nowhere = Origin {
        file: first.into(),
        line: 0,
        column: 0,
    };
    let mut whole = whole.unwrap_or_else(|| Node::new(Value::Map(Map::default()), &nowhere));
    settle(&mut whole);
    include(&mut whole, source, findings, depth)?;
    Ok(whole)
}

/// Interpolates one document and brings it into long form.
pub(crate) fn prepare(document: &mut Node, source: &Source<'_>, findings: &mut Findings) {
    if matches!(document.value, Value::Null) {
        document.value = Value::Map(Map::default());
    }
    interpolate_node(document, source.variables, findings);
    canonical::file(document, source.base, findings);
}

/// Loads what the top-level `include:` names and copies it in; a name that is there already is a fault.
///
/// See <https://github.com/compose-spec/compose-spec/blob/main/14-include.md>.
fn include(
    whole: &mut Node,
    source: &Source<'_>,
    findings: &mut Findings,
    depth: usize,
) -> Result<(), LoadError> {
    let Some(root) = whole.as_map_mut() else {
        return Ok(());
    };
    let Some(include) = root.remove("include") else {
        return Ok(());
    };
    let Value::List(items) = &include.value else {
        findings.fault(Fault::at(
            &include.origin,
            format!("include: must be a list, not {}", include.kind()),
        ));
        return Ok(());
    };
    if depth >= DEEPEST_INCLUDE {
        findings.fault(Fault::at(
            &include.origin,
            "include: files include each other",
        ));
        return Ok(());
    }
    for item in items {
        let included = included(item, source, findings, depth)?;
        let Some(Value::Map(included)) = included.map(|node| node.value) else {
            continue;
        };
        for entry in included.entries {
            let is_section = matches!(
                entry.key.as_str(),
                "services" | "networks" | "volumes" | "secrets" | "configs"
            );
            if is_section {
                copy_in(root, &entry.key, entry.node, findings);
            }
        }
    }
    Ok(())
}

fn copy_in(root: &mut Map, section: &str, included: Node, findings: &mut Findings) {
    let Some(target) = root.get_mut(section).and_then(Node::as_map_mut) else {
        root.insert(section, included);
        return;
    };
    let Value::Map(included) = included.value else {
        return;
    };
    for entry in included.entries {
        match target.entry(&entry.key) {
            // The same resource written in both, e.g. a shared network, is no conflict.
            Some(old) if old.node.as_map().map(|map| map.entries.len()) == Some(0) => {}
            Some(old) => {
                let message = format!(
                    "{section}.{}: is also defined by the included {}",
                    entry.key, entry.key_origin
                );
                findings.fault(Fault::at(&old.key_origin, message));
            }
            None => target.entries.push(entry),
        }
    }
}

fn included(
    item: &Node,
    source: &Source<'_>,
    findings: &mut Findings,
    depth: usize,
) -> Result<Option<Node>, LoadError> {
    let texts = |key: &str| -> Vec<String> {
        match item
            .as_map()
            .and_then(|map| map.get(key))
            .map(|node| &node.value)
        {
            Some(Value::List(items)) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Some(Value::Scalar(scalar)) => vec![scalar.text.clone()],
            _ => Vec::new(),
        }
    };
    let paths = item
        .as_str()
        .map_or_else(|| texts("path"), |path| vec![path.to_owned()]);
    let files: Vec<PathBuf> = paths.iter().map(|path| source.base.resolve(path)).collect();
    let Some(first) = files.first() else {
        findings.fault(Fault::at(
            &item.origin,
            "include: must be a path, or a mapping with `path`",
        ));
        return Ok(None);
    };
    let directory = match texts("project_directory").first() {
        Some(directory) => source.base.resolve(directory),
        None => first.parent().unwrap_or(&source.base.directory).to_owned(),
    };
    let mut env_paths: Vec<PathBuf> = texts("env_file")
        .iter()
        .map(|path| source.base.resolve(path))
        .collect();
    if env_paths.is_empty() && directory.join(".env").is_file() {
        env_paths.push(directory.join(".env"));
    }
    let variables = env_files(&env_paths, source.variables, findings)?;
    let base = Base {
        directory,
        home: source.base.home.clone(),
    };
    let inner = Source {
        files: &files,
        stdin: None,
        base: &base,
        variables: &variables,
    };
    assemble_at(&inner, findings, depth + 1).map(Some)
}
