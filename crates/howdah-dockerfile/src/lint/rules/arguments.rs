//! Build arguments from outside.

use crate::Command;
use crate::lint::Subject;
use crate::lint::rule::BUILD_ARG_NOT_DECLARED;
use crate::lint::sink::Sink;

/// Arguments that mean something without `ARG`: proxies
/// (<https://docs.docker.com/reference/dockerfile/#predefined-args>) and those that the builder reads itself.
fn is_predefined(name: &str) -> bool {
    let proxy = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "FTP_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ];
    let platform = ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE"];
    let rest = name
        .strip_prefix("TARGET")
        .or_else(|| name.strip_prefix("BUILD"));
    proxy.contains(&name.to_ascii_uppercase().as_str())
        || rest.is_some_and(|rest| platform.contains(&rest))
        || name.starts_with("BUILDKIT_")
        || name == "SOURCE_DATE_EPOCH"
}

/// The build arguments among `names` that no `ARG` of the file declares, without those that mean something undeclared.
pub fn undeclared_arguments<'name>(
    file: &crate::Dockerfile,
    names: impl Iterator<Item = &'name String>,
) -> Vec<&'name str> {
    let stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    let declared: Vec<&str> = file
        .global_args
        .iter()
        .chain(stages)
        .filter_map(|instruction| match &instruction.command {
            Command::Arg(arg) => Some(arg),
            _ => None,
        })
        .flat_map(|arg| arg.values.iter().map(|value| value.name.text.as_str()))
        .collect();
    names
        .map(String::as_str)
        .filter(|name| !is_predefined(name) && !declared.contains(name))
        .collect()
}

/// What this build passes in vain; told where the file begins to be built.
pub(super) fn not_declared(subject: &Subject, sink: &mut Sink) {
    let Some(first) = subject.file.stages.first() else {
        return;
    };
    for name in undeclared_arguments(subject.file, subject.build_args.keys()) {
        let message = format!("the build argument `{name}` is passed, and no `ARG` declares it");
        sink.report(&first.into(), &BUILD_ARG_NOT_DECLARED, message);
    }
}
