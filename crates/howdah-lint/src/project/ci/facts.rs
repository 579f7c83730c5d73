//! What single steps do.

use howdah_dockerfile::lint::commands::{Call, base_name, calls, operands, program};

use super::{Job, Step};

/// Programs and actions that look for known vulnerabilities.
const SCANNERS: [&str; 7] = [
    "trivy",
    "grype",
    "snyk",
    "clair",
    "anchore",
    "dockle",
    "docker-scout",
];

/// Pushes an image.
pub(super) fn pushes(step: &Step) -> bool {
    if step.action.contains("build-push-action") || step.action.contains("bake-action") {
        let push = step
            .input("push")
            .is_some_and(|(value, _)| value != "false");
        let outputs = step
            .input("outputs")
            .is_some_and(|(value, _)| value.contains("push=true"));
        return push || outputs;
    }
    calls(&step.script).iter().any(|call| {
        let mut words = operands(call);
        match program(call) {
            "docker" | "podman" | "buildah" | "howdah" => {
                let first = words.next();
                first == Some("push")
                    || (first == Some("compose") && words.any(|word| word == "push"))
                    || call
                        .iter()
                        .any(|word| word == "--push" || word.contains("push=true"))
            }
            "skopeo" | "crane" => words
                .next()
                .is_some_and(|word| word == "copy" || word == "push"),
            _ => false,
        }
    })
}

/// Runs tests of the application or of the image.
pub(super) fn tests(job: &Job, step: &Step) -> bool {
    let named = |name: &str| {
        name.to_ascii_lowercase()
            .split(|part: char| !part.is_alphanumeric())
            .any(|word| matches!(word, "test" | "tests" | "phpunit" | "pest" | "smoke"))
    };
    let is_setup = !step.action.is_empty();
    let called = calls(&step.script).iter().any(is_test);
    called || named(&step.name) || (named(&job.name) && !is_setup && !step.script.is_empty())
}

fn is_test(call: &Call) -> bool {
    let runner = matches!(program(call), "phpunit" | "pest" | "pytest" | "paratest");
    let runs_runner = call
        .iter()
        .skip(1)
        .any(|word| matches!(base_name(word), "phpunit" | "pest" | "paratest"));
    let test_word = call
        .iter()
        .skip(1)
        .any(|word| word == "test" || word.starts_with("test:") || word == "--target=test");
    let tool = matches!(
        program(call),
        "php"
            | "npm"
            | "yarn"
            | "pnpm"
            | "composer"
            | "make"
            | "go"
            | "cargo"
            | "docker"
            | "howdah"
    );
    runner || runs_runner || (tool && test_word)
}

/// The scanner in a text, if there is one.
pub(super) fn scanner(text: &str) -> Option<&'static str> {
    SCANNERS.into_iter().find(|scanner| text.contains(scanner))
}

/// The calls of a script in which a scanner is started, also in a container.
pub(super) fn scans(script: &str) -> Vec<Call> {
    let is_scan = |call: &Call| {
        let own = SCANNERS.contains(&program(call));
        let in_container =
            matches!(program(call), "docker" | "podman") && scanner_image(call).is_some();
        own || in_container
    };
    calls(script).into_iter().filter(is_scan).collect()
}

/// The image of a scanner among the words of a call.
pub(super) fn scanner_image(call: &Call) -> Option<&str> {
    let words = call.iter().map(String::as_str);
    words.skip(2).find(|word| {
        !word.starts_with('-')
            && word.contains('/')
            && !word.starts_with(['/', '.'])
            && scanner(word).is_some()
    })
}

/// Whether an image's name says no version.
pub(super) fn floats(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    match base_name(image).split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => true,
    }
}

/// The arguments of `--name value` and `--name=value` in all calls of a script.
pub(super) fn options<'c>(calls: &'c [Call], name: &str) -> Vec<&'c str> {
    let mut values = Vec::new();
    for call in calls {
        let mut words = call.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix(name) {
                Some("") => values.extend(words.next().map(String::as_str)),
                Some(rest) => values.extend(rest.strip_prefix('=')),
                None => {}
            }
        }
    }
    values
}
