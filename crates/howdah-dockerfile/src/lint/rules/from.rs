//! The base image and the platform of `FROM`.

use std::collections::BTreeMap;

use super::Lineage;
use crate::lint::rule::{
    FINAL_STAGE_ON_BUILD_PLATFORM, FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    INVALID_DEFAULT_ARG_IN_FROM, REDUNDANT_TARGET_PLATFORM,
};
use crate::lint::scope::Globals;
use crate::lint::sink::{Sink, Site};
use crate::lint::{Subject, platform as platforms};
use crate::{Lexer, Names, Stage};

/// Whether each `FROM` names an image with the defaults alone. The settings of single instructions do not reach this
/// rule, in BuildKit neither.
pub(in crate::lint) fn default_arguments(subject: &Subject, lexer: Lexer, sink: &mut Sink) {
    let Ok(globals) = Globals::new(subject, lexer, &BTreeMap::new()) else {
        return;
    };
    for stage in &subject.file.stages {
        let word = lexer.word(&stage.base.text, &globals.values, &mut Names::default());
        let Ok(name) = word else { return };
        if !subject.images.is_reference(&name) {
            let message = format!(
                "with the defaults of its arguments `{}` is `{name}`, which names no image",
                stage.base.text
            );
            sink.report(&stage.lines.into(), &INVALID_DEFAULT_ARG_IN_FROM, message);
        }
    }
}

/// `--platform`, with what it expands to and the names it uses.
pub(in crate::lint) fn platform(
    subject: &Subject,
    stage: &Stage,
    (value, names): (&str, &Names),
    sink: &mut Sink,
) {
    let site = Site::from(stage);
    let only_target = names.unmatched.is_empty()
        && names.matched.len() == 1
        && names.matched.contains("TARGETPLATFORM");
    if only_target && value == target_platform(subject) {
        let message = "`--platform=$TARGETPLATFORM` says what holds anyway";
        sink.report(&site, &REDUNDANT_TARGET_PLATFORM, message);
    }
    if !names.matched.is_empty() || !names.unmatched.is_empty() {
        return;
    }
    let Some((system, machine)) = platforms::parse(value, subject.platform) else {
        return;
    };
    // A stage whose name says for which platform it is means it.
    let name = stage.name.as_ref().map_or("", |name| name.text.as_str());
    if !name.contains(&system) && !name.contains(&machine) {
        let message = format!("`--platform={value}` is the same for every target");
        sink.report(&site, &FROM_PLATFORM_FLAG_CONST_DISALLOWED, message);
    }
}

fn target_platform<'a>(subject: &Subject<'a>) -> &'a str {
    let given = subject.build_args.get("TARGETPLATFORM");
    given.map_or(subject.platform, String::as_str)
}

/// A stage that becomes an image must be for the target platform, and so must all that it is based on.
pub(super) fn final_stage(lineage: &Lineage, sink: &mut Sink) {
    if !lineage.is_image() {
        return;
    }
    for walked in &lineage.stages {
        let platform = walked.stage.platform.as_ref();
        if platform.is_some_and(|platform| platform.text.contains("BUILD")) {
            let message = "the image is made of a stage on `$BUILDPLATFORM`";
            sink.report(
                &walked.stage.into(),
                &FINAL_STAGE_ON_BUILD_PLATFORM,
                message,
            );
        }
    }
}
