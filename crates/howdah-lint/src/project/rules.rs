//! The rules that need more of a project than one Dockerfile.

use howdah_dockerfile::lint::Rule;

macro_rules! rules {
    ($($name:ident = ($text:literal, $reason:literal, $fix:literal);)*) => {
        $(pub(super) static $name: Rule = Rule::howdah($text, $reason, $fix);)*

        /// Every rule that looks at a whole project, in the order of the documentation.
        pub static PROJECT_RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    STAGE_WRITTEN_TWICE = ("StageWrittenTwice",
        "two Dockerfiles repeat the same first steps: they drift apart, and other builders than Howdah run both, with an inline cache always",
        "put both images into one Dockerfile with a target each, or keep the stages word for word and build them with Howdah");
    HEALTHCHECK_UNKNOWN_COMMAND = ("HealthcheckUnknownCommand",
        "a health check that calls a command which does not exist always fails",
        "write the command, or probe with one that exists");
    HEALTH_ANSWERED_WITHOUT_PHP = ("HealthAnsweredWithoutPhp",
        "the web server answers although PHP may be dead, so a broken container stays in service",
        "pass the path to the application, and let it look at what it needs");
    CADDYFILE_UNKNOWN_OPTION = ("CaddyfileUnknownOption",
        "the server refuses to start with an option that it does not know",
        "remove the option or mend its name; `caddy validate` in the image tells for sure");
    BIND_MOUNT_HIDES_FILES = ("BindMountHidesFiles",
        "the mount of the source directory covers what the image has installed there, so the container starts without it",
        "mount a volume over the installed directory too, or only the directories that are edited");
    CACHE_NEVER_EXPORTED = ("CacheNeverExported",
        "a cache that nothing exports is always empty",
        "add the --cache-to (`cache-to:`) that belongs to it, or remove the import");
    PUSH_BEFORE_TEST = ("PushBeforeTest",
        "an image that is pushed before it is tested is available although the tests may fail",
        "test first, and push what was tested");
    SCANNER_NOT_PINNED = ("ScannerNotPinned",
        "a scanner that changes by itself fails or passes without a change of yours, and runs whatever was pushed last",
        "name a version, or a digest");
    SCANNER_RESULT_IGNORED = ("ScannerResultIgnored",
        "a scan that cannot fail stops nothing",
        "let it fail, and list what you accept in the scanner's ignore file");
}
