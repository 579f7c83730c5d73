//! Platforms as containerd reads them: `os/architecture[/variant]`, or one of the first two alone.

/// Operating systems that may stand alone; enough of Go's list for images that exist.
const SYSTEMS: [&str; 8] = [
    "linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasip1",
];

/// Architectures that may stand alone, in Go's names.
const ARCHITECTURES: [&str; 12] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64",
    "s390x", "wasm",
];

/// Operating system and architecture, normalised; `None` if the text is no platform. `host` fills what is left out.
pub(super) fn parse(text: &str, host: &str) -> Option<(String, String)> {
    let (host_system, host_architecture) = host.split_once('/').unwrap_or((host, ""));
    let parts: Vec<&str> = text.split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty()
            && part
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "_.-".contains(character))
    };
    if parts.len() > 3 || !parts.iter().all(plain) {
        return None;
    }
    let (system, architecture) = match parts.as_slice() {
        [one] => {
            let (system, architecture) = (system(one), architecture(one));
            if SYSTEMS.contains(&system.as_str()) {
                (system, host_architecture.to_owned())
            } else if ARCHITECTURES.contains(&architecture.as_str()) {
                (host_system.to_owned(), architecture)
            } else {
                return None;
            }
        }
        parts => (system(parts[0]), architecture(parts[1])),
    };
    Some((system, architecture))
}

fn system(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn architecture(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" => "386",
        "armhf" | "armel" => "arm",
        other => return other.to_owned(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn platforms() {
        let cases = [
            ("linux/amd64", Some(("linux", "amd64"))),
            ("Linux/x86_64", Some(("linux", "amd64"))),
            ("linux/arm64/v8", Some(("linux", "arm64"))),
            ("aarch64", Some(("linux", "arm64"))),
            ("linux", Some(("linux", "riscv64"))),
            ("", None),
            ("linux/", None),
            ("nonsense", None),
            ("a/b/c/d", None),
        ];
        for (text, wanted) in cases {
            let wanted = wanted.map(|(system, machine)| (system.to_owned(), machine.to_owned()));
            assert_eq!(parse(text, "linux/riscv64"), wanted, "{text}");
        }
    }
}
