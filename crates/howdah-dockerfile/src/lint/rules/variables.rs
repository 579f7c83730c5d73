//! Variables that nothing sets.

use crate::Names;
use crate::lint::rule::{UNDEFINED_ARG_IN_FROM, UNDEFINED_VAR};
use crate::lint::scope::{Globals, Scope};
use crate::lint::sink::{Sink, Site};

/// The farthest that a misspelt name may be from the right one.
const FARTHEST: usize = 2;

/// Names that an instruction uses and its scope does not have.
pub(in crate::lint) fn undefined(site: &Site, names: &Names, scope: &Scope, sink: &mut Sink) {
    for name in names
        .unmatched
        .iter()
        .filter(|name| scope.is_undefined(name))
    {
        let hint = hint(name, scope.names(), "$");
        sink.report(
            site,
            &UNDEFINED_VAR,
            format!("nothing sets `${name}`{hint}"),
        );
    }
}

/// Names that `FROM` uses and no global `ARG` declares.
pub(in crate::lint) fn undefined_in_from(
    site: &Site,
    names: &Names,
    globals: &Globals,
    sink: &mut Sink,
) {
    let declared = &globals.declared;
    for name in names
        .unmatched
        .iter()
        .filter(|name| !declared.contains(*name))
    {
        let hint = hint(name, declared.iter().map(String::as_str), "");
        let message = format!("no `ARG` before the first `FROM` declares `{name}`{hint}");
        sink.report(site, &UNDEFINED_ARG_IN_FROM, message);
    }
}

fn hint<'name>(wrong: &str, known: impl Iterator<Item = &'name str>, sign: &str) -> String {
    let near = known
        .map(|name| (strsim::levenshtein(wrong, name), name))
        .filter(|(distance, _)| *distance <= FARTHEST)
        .min();
    near.map_or_else(String::new, |(_, name)| {
        format!(", did you mean `{sign}{name}`?")
    })
}
