//! One case with a finding and one without for each rule.

use std::collections::BTreeMap;

use super::*;
use crate::parse;

/// Images that the tests know: `known` sets a variable.
#[derive(Debug)]
struct Known;

impl Images for Known {
    fn is_reference(&self, name: &str) -> bool {
        !name.is_empty() && !name.ends_with([':', '-']) && name == name.to_lowercase()
    }

    fn configuration(&self, name: &str) -> Option<BaseImage> {
        (name == "known").then(|| BaseImage {
            env: vec!["KNOWN_DIR=/known".to_owned()],
            on_build: vec!["COPY $missing /".to_owned()],
            ..BaseImage::default()
        })
    }
}

/// What is found, as `Rule:line`, with a .dockerignore and build arguments.
fn found_with(text: &str, ignore: Option<&str>, build_args: &[(&str, &str)]) -> Vec<String> {
    let file = parse(text).unwrap_or_else(|faults| panic!("{}", faults[0].render("-", text)));
    let build_args: BTreeMap<String, String> = build_args
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let ignore = ignore.map(|ignore| Ignore::parse(ignore).unwrap());
    let settings = Settings::of(&file, &build_args).unwrap();
    let checked = check(&Subject {
        text,
        file: &file,
        settings: &settings,
        target: None,
        build_args: &build_args,
        ignore: ignore.as_ref(),
        platform: "linux/amd64",
        images: &Known,
    });
    checked
        .findings
        .iter()
        .map(|finding| format!("{}:{}", finding.rule.name, finding.lines.first))
        .collect()
}

fn found(text: &str) -> Vec<String> {
    found_with(text, None, &[])
}

/// Text with the finding, the finding, text without.
#[track_caller]
fn check_cases(cases: &[(&str, &str, &str)]) {
    for (bad, finding, good) in cases {
        assert_eq!(found(bad), [*finding], "{bad}");
        assert_eq!(found(good), [""; 0], "{good}");
    }
}

#[test]
fn text_rules() {
    check_cases(&[
        ("FROM a AS Base", "StageNameCasing:1", "FROM a AS base"),
        ("FROM a as b", "FromAsCasing:1", "FROM a AS b"),
        ("from a AS b", "FromAsCasing:1", "from a as b"),
        (
            "FROM a\nRUN b \\\n\n  c\nRUN d",
            "NoEmptyContinuation:4",
            "FROM a\nRUN b \\\n# x\n  c\nRUN d",
        ),
        (
            "FROM a\nRUN b\nrun c",
            "ConsistentInstructionCasing:3",
            "from a\nrun b\nrun c",
        ),
        (
            "FROM a\nFrom b",
            "ConsistentInstructionCasing:2",
            "FROM a\nFROM b",
        ),
        (
            "FROM a AS x\nFROM b AS x",
            "DuplicateStageName:2",
            "FROM a AS x\nFROM b AS y",
        ),
        (
            "FROM a AS scratch",
            "ReservedStageName:1",
            "FROM scratch AS a",
        ),
        (
            "FROM a\nMAINTAINER me",
            "MaintainerDeprecated:2",
            "FROM a\nLABEL author=me",
        ),
        (
            "# check=experimental=all\n# what it is\nFROM a AS b",
            "InvalidDefinitionDescription:3",
            "# check=experimental=all\n# b what it is\nFROM a AS b",
        ),
        (
            "FROM a\nRUN ['a', 'b']",
            "SuspectArgument:2",
            "FROM a\nRUN [\"a\", \"b\"]",
        ),
    ]);
    assert_eq!(found("# what it is\nFROM a AS b"), [""; 0]);
}

#[test]
fn from_rules() {
    check_cases(&[
        (
            "FROM a$tag",
            "UndefinedArgInFrom:1",
            "ARG tag=1\nFROM a$tag",
        ),
        (
            "ARG tag\nFROM a:${tag}",
            "InvalidDefaultArgInFrom:2",
            "ARG tag=1\nFROM a:${tag}",
        ),
        (
            "FROM --platform=$TARGETPLATFORM a",
            "RedundantTargetPlatform:1",
            "FROM a",
        ),
        (
            "FROM --platform=linux/amd64 a",
            "FromPlatformFlagConstDisallowed:1",
            "FROM --platform=linux/amd64 a AS a_amd64",
        ),
    ]);
}

#[test]
fn config_rules() {
    check_cases(&[
        (
            "FROM a\nCMD b",
            "JSONArgsRecommended:2",
            "FROM a\nCMD [\"b\"]",
        ),
        (
            "FROM a\nENTRYPOINT b",
            "JSONArgsRecommended:2",
            "FROM a\nSHELL [\"b\"]\nENTRYPOINT c",
        ),
        (
            "FROM a\nCMD [\"b\"]\nCMD [\"c\"]",
            "MultipleInstructionsDisallowed:2",
            "FROM a AS x\nCMD [\"b\"]\nFROM x\nCMD [\"c\"]",
        ),
        (
            "FROM a\nENV b c",
            "LegacyKeyValueFormat:2",
            "FROM a\nENV b=c",
        ),
        (
            "FROM a\nWORKDIR b",
            "WorkdirRelativePath:2",
            "FROM a\nWORKDIR /b\nWORKDIR c",
        ),
        (
            "FROM a\nARG DB_PASSWORD",
            "SecretsUsedInArgOrEnv:2",
            "FROM a\nARG PUBLIC_KEY\nENV KEYBOARD=de DB_PASSWORD_FILE=/x",
        ),
        (
            "FROM a\nEXPOSE 80/TCP",
            "ExposeProtoCasing:2",
            "FROM a\nEXPOSE 80/tcp",
        ),
        (
            "FROM a\nEXPOSE 80:8080",
            "ExposeInvalidFormat:2",
            "FROM a\nEXPOSE 80 81-82/udp",
        ),
    ]);
}

#[test]
fn variable_rules() {
    check_cases(&[
        (
            "FROM a\nCOPY $b /",
            "UndefinedVar:2",
            "FROM a\nARG b\nCOPY $b /",
        ),
        (
            "ARG b=1\nFROM a\nWORKDIR /$b",
            "UndefinedVar:3",
            "ARG b=1\nFROM a\nARG b\nWORKDIR /$b",
        ),
        (
            "FROM a\nARG b=$c",
            "UndefinedVar:2",
            "FROM a\nENV c=1\nARG b=$c d=$PATH",
        ),
        (
            "FROM a\nRUN --mount=type=cache,target=/$b c",
            "UndefinedVar:2",
            "FROM a\nRUN $b",
        ),
        (
            "FROM a\nCOPY <<E /x\n$b\nE",
            "UndefinedVar:2",
            "FROM a\nCOPY <<'E' /x\n$b\nE",
        ),
        // The image's own variables and triggers.
        (
            "FROM known\nENV x=$KNOWN_DIR",
            "UndefinedVar:1",
            "FROM php:8\nENV x=$PHP_INI_DIR",
        ),
        (
            "FROM a AS x\nONBUILD COPY $b /\nFROM x",
            "UndefinedVar:3",
            "FROM a AS x\nENV b=c\nONBUILD COPY $b /\nFROM x",
        ),
    ]);
}

#[test]
fn ignored_files() {
    let text = "FROM a\nCOPY b/c /\nCOPY d* .\nADD http://h/b e /\nCOPY --from=x b /";
    assert_eq!(
        found_with(text, Some("b\nd*\ne"), &[]),
        [
            "CopyIgnoredFile:2",
            "CopyIgnoredFile:3",
            "CopyIgnoredFile:4"
        ]
    );
    assert_eq!(found_with(text, Some("b\n!b/c"), &[]), [""; 0]);
    assert_eq!(found_with(text, None, &[]), [""; 0]);
    let whole = "FROM a\nCOPY . /app";
    assert_eq!(found_with(whole, Some("*"), &[]), ["CopyIgnoredFile:2"]);
    assert_eq!(found_with(whole, Some("vendor\n*.md"), &[]), [""; 0]);
}

#[test]
fn settings_of_file_instruction_and_build_argument() {
    let text = "# check=skip=StageNameCasing\nFROM a AS B\n# check=skip=UndefinedVar\nCOPY $x /\nCOPY $x /";
    assert_eq!(found(text), ["UndefinedVar:5"]);
    let given = [(SETTINGS_ARGUMENT, "skip=UndefinedVar")];
    assert_eq!(found_with(text, None, &given), ["StageNameCasing:2"]);
    assert_eq!(
        found_with(text, None, &[(SETTINGS_ARGUMENT, "skip=all")]),
        [""; 0]
    );
}

#[test]
fn messages_name_what_could_be_meant() {
    let text = "FROM scratch\nENV COLOUR=red\nWORKDIR /$COLOR";
    let file = parse(text).unwrap();
    let subject = Subject {
        text,
        file: &file,
        settings: &Settings::default(),
        target: Some(0),
        build_args: &BTreeMap::new(),
        ignore: None,
        platform: "linux/amd64",
        images: &Known,
    };
    let findings = check(&subject).findings;
    assert_eq!(
        findings[0].message,
        "nothing sets `$COLOR`, did you mean `$COLOUR`?"
    );
}

#[test]
fn only_needed_stages_are_looked_at() {
    let text = "FROM a AS b\nCOPY $x /\nFROM a AS c\nCOPY $x /\nFROM a\nCOPY --from=c / /\nRUN --mount=from=3,target=/x y\nFROM a\nCOPY $x /";
    let file = parse(text).unwrap();
    let lines = |target| {
        let subject = Subject {
            text,
            file: &file,
            settings: &Settings::default(),
            target,
            build_args: &BTreeMap::new(),
            ignore: None,
            platform: "linux/amd64",
            images: &Known,
        };
        let found = check(&subject).findings;
        found
            .iter()
            .map(|finding| finding.lines.first)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(None), [2, 4, 9]);
    assert_eq!(lines(Some(2)), [4, 9]);
}

#[test]
fn what_cannot_be_built_is_told_beside_the_findings() {
    let text = "FROM a AS B\nCOPY ${x:?no} /\nFROM --platform=q q\nFROM c\nCOPY $y /";
    let file = parse(text).unwrap();
    let subject = Subject {
        text,
        file: &file,
        settings: &Settings::default(),
        target: None,
        build_args: &BTreeMap::new(),
        ignore: None,
        platform: "linux/amd64",
        images: &Known,
    };
    let checked = check(&subject);
    let faults: Vec<&str> = checked
        .faults
        .iter()
        .map(|fault| fault.message.as_str())
        .collect();
    assert_eq!(
        faults,
        ["cannot expand `${x:?no}`: x: no", "`q` is not a platform"]
    );
    assert_eq!(checked.findings.len(), 2);
}

#[test]
fn final_stage_and_build_arguments() {
    check_cases(&[
        (
            "FROM --platform=$BUILDPLATFORM a AS b\nFROM b",
            "FinalStageOnBuildPlatform:1",
            "FROM --platform=$BUILDPLATFORM a AS b\nFROM a\nCOPY --from=b / /",
        ),
        (
            "FROM a AS b\nFROM --platform=$BUILDPLATFORM b AS app\nCMD [\"x\"]\nFROM a",
            "FinalStageOnBuildPlatform:2",
            "FROM a AS b\nFROM --platform=$BUILDPLATFORM b AS lint\nRUN x\nFROM a",
        ),
    ]);
    let text = "ARG A\nFROM a\nARG B";
    let given = [
        ("A", "1"),
        ("B", "2"),
        ("C", "3"),
        ("https_proxy", "x"),
        ("TARGETARCH", "arm64"),
    ];
    assert_eq!(found_with(text, None, &given), ["BuildArgNotDeclared:2"]);
}

#[test]
fn packages() {
    check_cases(&[
        (
            "FROM a AS b\nRUN apt-get install -y curl git\nFROM b\nRUN apt-get purge -y git && apt-get autoremove -y",
            "PurgeInLaterLayer:4",
            "FROM a\nRUN apt-get install -y curl git && apt-get purge -y git && apt-get autoremove -y",
        ),
        (
            "FROM a\nRUN apk add b\nRUN apk add c && apk del b",
            "PurgeInLaterLayer:3",
            "FROM a\nRUN apk add --virtual .x b && apk del .x",
        ),
        (
            "FROM a\nRUN apt-get update\nRUN rm -rf /var/lib/apt/lists/*",
            "PurgeInLaterLayer:3",
            "FROM a\nRUN apt-get update && rm -rf /var/lib/apt/lists/*",
        ),
    ]);
    let text = "FROM a AS b\nRUN apt-get install curl\nHEALTHCHECK CMD curl -f http://h/ || exit 1\nFROM b\nRUN apt-get remove curl";
    assert_eq!(
        found(text),
        ["PurgeInLaterLayer:5", "HealthcheckToolRemoved:5"]
    );
    let again = format!("{text}\nRUN apt-get install curl");
    assert_eq!(found(&again), ["PurgeInLaterLayer:5"]);
}

#[test]
fn layers() {
    check_cases(&[
        (
            "FROM a\nWORKDIR /app\nCOPY . .\nRUN chown -R www-data:www-data /app/storage",
            "CopiedFilesChangedInLaterLayer:4",
            "FROM a\nWORKDIR /app\nCOPY --chown=www-data . .\nRUN mkdir /data && chown -R www-data /data",
        ),
        (
            "FROM a\nENV D=/app\nCOPY x /app/x\nRUN [\"chmod\", \"-R\", \"755\", \"$D\"]",
            "CopiedFilesChangedInLaterLayer:4",
            "FROM a\nCOPY x /app/x\nRUN chmod 755 /app/x && chown -R a /apple",
        ),
        (
            "FROM n AS n\nFROM a\nWORKDIR /app\nCOPY --from=n /app/public ./public\nCOPY . .",
            "LateCopyOverwritesBuiltFiles:5",
            "FROM n AS n\nFROM a\nWORKDIR /app\nCOPY . .\nCOPY --from=n /app/public ./public",
        ),
    ]);
    let text = "FROM n AS n\nFROM a\nWORKDIR /app\nCOPY --from=n /app/public/build public/build\nCOPY public public/";
    assert_eq!(found(text), ["LateCopyOverwritesBuiltFiles:5"]);
    assert_eq!(found_with(text, Some("public/build"), &[]), [""; 0]);
}

#[test]
fn processes() {
    check_cases(&[
        (
            "FROM a\nHEALTHCHECK CMD php artisan schedule:run",
            "HealthcheckSideEffects:2",
            "FROM a\nHEALTHCHECK CMD php artisan queue:monitor",
        ),
        (
            "FROM a\nCMD [\"/usr/bin/supervisord\", \"-n\"]",
            "SupervisorAsRoot:2",
            "FROM a\nUSER 1000\nCMD [\"supervisord\", \"-n\"]",
        ),
        (
            "FROM a\nUSER app\nRUN b\nUSER root\nCMD [\"c\"]",
            "RootBeforeCommand:4",
            "FROM a\nUSER root\nRUN b\nUSER app\nCMD [\"c\"]",
        ),
        (
            "FROM a\nCMD [\"sh\", \"-c\", \"php artisan migrate --force && php-fpm\"]",
            "MigrationsAtStart:2",
            "FROM a\nCMD [\"php\", \"artisan\", \"migrate\"]",
        ),
        (
            "FROM a\nCOPY <<'E' /start.sh\nphp artisan migrate\nexec $@\nE\nENTRYPOINT [\"/start.sh\"]",
            "MigrationsAtStart:2",
            "FROM a\nCOPY <<'E' /start.sh\nphp artisan migrate --isolated\nexec $@\nE\nENTRYPOINT [\"/start.sh\"]",
        ),
    ]);
}
