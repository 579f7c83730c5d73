//! What a rule is, and the list of all of them.

use std::fmt::Write as _;

/// Where a rule comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One of BuildKit's build checks (<https://docs.docker.com/reference/build-checks/>).
    BuildKit,
    /// Howdah's own.
    Howdah,
}

/// A rule: one thing that is said about Dockerfiles and what belongs to them.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name, as `# check=skip=` takes it.
    pub name: &'static str,
    /// Where it comes from.
    pub origin: Origin,
    /// Only looked at when asked for with `experimental=`.
    pub experimental: bool,
    /// Why it matters.
    pub reason: &'static str,
    /// What to do instead.
    pub fix: &'static str,
}

impl Rule {
    const fn buildkit(name: &'static str, reason: &'static str, fix: &'static str) -> Rule {
        Rule {
            name,
            origin: Origin::BuildKit,
            experimental: false,
            reason,
            fix,
        }
    }

    /// A rule of Howdah.
    pub const fn howdah(name: &'static str, reason: &'static str, fix: &'static str) -> Rule {
        Rule {
            origin: Origin::Howdah,
            ..Rule::buildkit(name, reason, fix)
        }
    }

    /// The page that explains the rule; Howdah's own are in docs/checks.md.
    pub fn url(&self) -> Option<String> {
        (self.origin == Origin::BuildKit).then(|| {
            let mut url = "https://docs.docker.com/go/dockerfile/rule/".to_owned();
            kebab(self.name, &mut url);
            url.push('/');
            url
        })
    }
}

/// `JSONArgsRecommended` to `json-args-recommended`.
fn kebab(name: &str, into: &mut String) {
    let bytes = name.as_bytes();
    for (at, character) in name.char_indices() {
        let begins_word = character.is_ascii_uppercase()
            && at > 0
            && (bytes[at - 1].is_ascii_lowercase()
                || bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase));
        let dash = if begins_word { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(into, "{dash}{}", character.to_ascii_lowercase());
    }
}

macro_rules! rules {
    ($list:ident: $($name:ident = $constructor:ident($text:literal, $reason:literal, $fix:literal);)*) => {
        $(#[doc = concat!("`", $text, "`")]
        pub static $name: Rule = Rule::$constructor($text, $reason, $fix);)*

        /// Every rule that looks at a Dockerfile alone, in the order of the documentation.
        pub static $list: &[&Rule] = &[&INVALID_DEFINITION_DESCRIPTION, $(&$name),*];
    };
}

/// The only experimental one.
pub static INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
    experimental: true,
    ..Rule::buildkit(
        "InvalidDefinitionDescription",
        "the comment right above a stage or an argument is shown as its description only if it begins with its name",
        "begin the comment with the name, or put an empty line with `#` below it",
    )
};

rules! { RULES:
    CONSISTENT_INSTRUCTION_CASING = buildkit("ConsistentInstructionCasing",
        "instructions in different case are harder to find",
        "write all instructions in the case that most of them have");
    COPY_IGNORED_FILE = buildkit("CopyIgnoredFile",
        ".dockerignore keeps the file out of the context, so the instruction does not find it",
        "take the pattern out of .dockerignore, or do not copy the file");
    DUPLICATE_STAGE_NAME = buildkit("DuplicateStageName",
        "a name means the last stage that has it; the other one cannot be reached",
        "rename one of the stages");
    EXPOSE_INVALID_FORMAT = buildkit("ExposeInvalidFormat",
        "EXPOSE only says on which port the container listens; addresses and host ports are dropped, and will be refused one day",
        "write the container's port alone, and publish it with `ports:` or `-p`");
    EXPOSE_PROTO_CASING = buildkit("ExposeProtoCasing",
        "the image configuration has protocols in lower case",
        "write tcp, udp or sctp in lower case");
    FROM_AS_CASING = buildkit("FromAsCasing",
        "FROM and AS are one instruction and read better in one case",
        "write both in upper or both in lower case");
    FROM_PLATFORM_FLAG_CONST_DISALLOWED = buildkit("FromPlatformFlagConstDisallowed",
        "a stage with a fixed platform is the same for every target, so the image cannot be built for others",
        "use $BUILDPLATFORM for tools, nothing for what runs, or put the platform into the name of the stage");
    INVALID_DEFAULT_ARG_IN_FROM = buildkit("InvalidDefaultArgInFrom",
        "without --build-arg the name of the base image is empty or not a name",
        "give the ARG a default with which the Dockerfile builds");
    JSON_ARGS_RECOMMENDED = buildkit("JSONArgsRecommended",
        "shell form makes the shell process 1, which does not pass signals on: the container is killed instead of stopped",
        "write a JSON array, or choose the shell yourself with SHELL");
    LEGACY_KEY_VALUE_FORMAT = buildkit("LegacyKeyValueFormat",
        "without `=` everything behind the name is the value, which surprises",
        "write NAME=value");
    MAINTAINER_DEPRECATED = buildkit("MaintainerDeprecated",
        "MAINTAINER sets a field of the image that few tools read",
        "write LABEL org.opencontainers.image.authors=...");
    MULTIPLE_INSTRUCTIONS_DISALLOWED = buildkit("MultipleInstructionsDisallowed",
        "only the last CMD, ENTRYPOINT and HEALTHCHECK of a stage counts",
        "remove this one");
    NO_EMPTY_CONTINUATION = buildkit("NoEmptyContinuation",
        "an empty line inside a continued instruction will be an error one day",
        "remove the empty line, or make it a comment");
    REDUNDANT_TARGET_PLATFORM = buildkit("RedundantTargetPlatform",
        "the target platform is what FROM takes anyway",
        "remove --platform=$TARGETPLATFORM");
    RESERVED_STAGE_NAME = buildkit("ReservedStageName",
        "`scratch` and `context` mean something else already",
        "choose another name");
    SECRETS_USED_IN_ARG_OR_ENV = buildkit("SecretsUsedInArgOrEnv",
        "values of ARG and ENV stay in the image's history and configuration, where everyone who has the image can read them",
        "use RUN --mount=type=secret while building, and the container's environment or a secret file at run time");
    STAGE_NAME_CASING = buildkit("StageNameCasing",
        "names of stages do not distinguish case, and mixed case suggests that they do",
        "write the name in lower case");
    UNDEFINED_ARG_IN_FROM = buildkit("UndefinedArgInFrom",
        "an argument that is not declared before the first FROM is empty there",
        "declare it with ARG before the first FROM");
    UNDEFINED_VAR = buildkit("UndefinedVar",
        "a variable that neither ARG, ENV nor the base image sets is empty",
        "declare it with ARG or ENV in this stage, or mend its name");
    WORKDIR_RELATIVE_PATH = buildkit("WorkdirRelativePath",
        "where a relative path leads depends on the base image, which may change",
        "make the first WORKDIR of the stage absolute");
    SUSPECT_ARGUMENT = howdah("SuspectArgument",
        "the instruction is valid, but hardly meant as it stands",
        "see the message");
    FINAL_STAGE_ON_BUILD_PLATFORM = howdah("FinalStageOnBuildPlatform",
        "the image takes its user land from the machine that builds it: built on amd64, the arm64 image has amd64 programs",
        "keep --platform=$BUILDPLATFORM for stages whose results do not depend on the processor");
    PURGE_IN_LATER_LAYER = howdah("PurgeInLaterLayer",
        "a layer only adds: what an earlier layer holds stays in the image, and the list of removals makes it bigger",
        "remove in the RUN that installs, or do not install in a base that others need slim");
    HEALTHCHECK_TOOL_REMOVED = howdah("HealthcheckToolRemoved",
        "the health check calls a program that the image no longer has, so the container is never healthy",
        "keep the program, or probe with what the image has");
    COPIED_FILES_CHANGED_IN_LATER_LAYER = howdah("CopiedFilesChangedInLaterLayer",
        "changing owner or mode in a later layer stores every file a second time",
        "give the owner and mode while copying: COPY --chown=user:group --chmod=mode");
    BUILD_ARG_NOT_DECLARED = howdah("BuildArgNotDeclared",
        "a build argument that no ARG declares has no effect",
        "declare it with ARG in the stage that needs it, or do not pass it");
    HEALTHCHECK_SIDE_EFFECTS = howdah("HealthcheckSideEffects",
        "a health check runs every few seconds in every container, so it must only look",
        "probe without changing anything, and run the work as a process or a scheduled job of its own");
    LATE_COPY_OVERWRITES_BUILT_FILES = howdah("LateCopyOverwritesBuiltFiles",
        "the context may hold older files of the same names, which replace what another stage has built",
        "copy the context first and the built files last, or list them in .dockerignore");
    SUPERVISOR_AS_ROOT = howdah("SupervisorAsRoot",
        "the supervisor and everything it starts without `user=` runs as root",
        "end the stage with USER and a user without privileges; unprivileged ports need no root");
    ROOT_BEFORE_COMMAND = howdah("RootBeforeCommand",
        "the last USER is the one that the container runs as, and here it is root",
        "do what needs root earlier, and end the stage with a user without privileges");
    MIGRATIONS_AT_START = howdah("MigrationsAtStart",
        "every replica runs the migrations at the same moment, and each restart runs them again",
        "run them once, in a service or job that the others wait for, or with `migrate --isolated`");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_rules() {
        let url = |rule: &Rule| rule.url().unwrap_or_default();
        let base = "https://docs.docker.com/go/dockerfile/rule";
        assert_eq!(
            url(&JSON_ARGS_RECOMMENDED),
            format!("{base}/json-args-recommended/")
        );
        assert_eq!(
            url(&SECRETS_USED_IN_ARG_OR_ENV),
            format!("{base}/secrets-used-in-arg-or-env/")
        );
        assert_eq!(url(&ROOT_BEFORE_COMMAND), "");
    }
}
