//! Checks of Dockerfiles and of the project around them: what `howdah build --check` says.
//!
//! The rules that look at one Dockerfile are in `howdah_dockerfile::lint`; this crate gives them the base images and
//! ignore files, and adds the rules that need other files of the project. Nothing here prints.

mod images;
mod project;
mod report;

use std::path::Path;

use howdah_build::{BuildError, Target};
use howdah_dockerfile::ignore::Ignore;
use howdah_dockerfile::lint::{Images, Settings, Subject, check as check_file};
use howdah_dockerfile::{Dockerfile, Fault, Span, parse};

pub use howdah_dockerfile::lint::{Origin, RULES, Rule};
pub use howdah_dockerfile::lint::{SETTINGS_ARGUMENT, Settings as CheckSettings};
pub use images::KnownImages;
pub use project::rules::PROJECT_RULES;
pub use report::{Located, Report, Source};

/// Looks at the Dockerfiles of targets, as a build of them would.
pub fn check_targets(targets: &[Target], images: &dyn Images) -> Report {
    let mut report = Report::default();
    for target in targets {
        check_target(target, images, &mut report);
    }
    report.sort();
    report
}

/// Looks at the Dockerfiles of targets and at the project around them. `settings` are for the other files.
pub fn check_project(
    directory: &Path,
    targets: &[Target],
    settings: &Settings,
    images: &dyn Images,
) -> Report {
    let mut report = check_targets(targets, images);
    project::check(directory, targets, settings, &mut report);
    report.sort();
    report
}

/// The targets of the services in a directory's Compose file, of all when none is named. Variables have their defaults: a
/// check must not need what only the machine that runs the stack knows. `None` if there is no Compose file.
pub fn compose_targets(
    directory: &Path,
    services: &[String],
) -> Result<Option<Vec<Target>>, BuildError> {
    project::targets(directory, services)
}

fn check_target(target: &Target, images: &dyn Images, report: &mut Report) {
    let text = &target.dockerfile.text;
    let source = report.source(&target.dockerfile.name, text);
    let file = match parse(text) {
        Ok(file) => file,
        Err(faults) => return report.faults(source, faults),
    };
    let settings = match Settings::of(&file, &target.build_args) {
        Ok(settings) => settings,
        Err(error) => {
            let check = file.directives.check.as_ref();
            let span = check.map_or_else(Span::default, |word| word.span);
            // As BuildKit does: what was meant cannot be known.
            report.stops_builds = true;
            return report.faults(source, vec![Fault::error(span, error.to_string())]);
        }
    };
    let ignore = target
        .ignore
        .as_ref()
        .and_then(|text| Ignore::parse(&text.text).ok());
    let platform = format!("linux/{}", howdah_image::host_architecture());
    let checked = check_file(&Subject {
        text,
        file: &file,
        settings: &settings,
        target: stage_number(target, &file),
        build_args: &target.build_args,
        ignore: ignore.as_ref(),
        platform: &platform,
        images,
    });
    report.stops_builds |= settings.error
        && checked
            .findings
            .iter()
            .any(|finding| finding.rule.origin == Origin::BuildKit);
    for finding in checked.findings {
        report.add(source, finding);
    }
    report.faults(source, checked.faults);
}

/// The stage that the target names, if it exists.
fn stage_number(target: &Target, file: &Dockerfile) -> Option<usize> {
    let wanted = target.stage.as_ref()?;
    let by_name = file.stages.iter().rposition(|stage| {
        let name = stage.name.as_ref();
        name.is_some_and(|name| name.text.eq_ignore_ascii_case(wanted))
    });
    let by_number = || {
        wanted
            .parse()
            .ok()
            .filter(|number| *number < file.stages.len())
    };
    by_name.or_else(by_number)
}
