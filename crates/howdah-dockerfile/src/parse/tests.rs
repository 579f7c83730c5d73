use std::time::Duration;

use super::*;
use crate::{Command, CommandLine, Healthcheck, Network, RunBody, Security, Severity, Word};

/// The instructions behind a `FROM scratch`.
fn commands(text: &str) -> Vec<Command> {
    let dockerfile = parse(&format!("FROM scratch\n{text}"))
        .unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    dockerfile.stages[0]
        .instructions
        .iter()
        .map(|instruction| instruction.command.clone())
        .collect()
}

fn command(text: &str) -> Command {
    commands(text).remove(0)
}

fn texts<'words>(words: impl IntoIterator<Item = &'words Word>) -> Vec<&'words str> {
    words.into_iter().map(|word| word.text.as_str()).collect()
}

fn body(text: &str) -> RunBody {
    match command(text) {
        Command::Run(run) => run.body,
        other => panic!("{other:?}"),
    }
}

fn shell(text: &str) -> RunBody {
    RunBody::Shell(text.to_owned())
}

#[test]
fn a_whole_file() {
    let text = "\u{feff}# syntax=docker/dockerfile:1\r\n\
        # VERSION the version of PHP\r\n\
        ARG VERSION=8.3 OTHER\r\n\
        # Base the runtime\r\n\
        # base everything starts here\r\n\
        from --platform=$BUILDPLATFORM php:${VERSION} as Base\r\n\
        run apt-get update \\\r\n  # why\r\n  && true\r\n\
        FROM base\r\n";
    let dockerfile = parse(text).unwrap();
    assert_eq!(
        dockerfile.directives.syntax.unwrap().text,
        "docker/dockerfile:1"
    );
    let Command::Arg(arg) = &dockerfile.global_args[0].command else {
        panic!()
    };
    assert_eq!(arg.values[0].comment.as_deref(), Some("the version of PHP"));
    assert_eq!(arg.values[0].default.as_ref().unwrap().text, "8.3");
    assert_eq!(
        (arg.values[1].name.text.as_str(), &arg.values[1].default),
        ("OTHER", &None)
    );
    let [base, last] = dockerfile.stages.as_slice() else {
        panic!()
    };
    assert_eq!(base.name.as_ref().unwrap().text, "base");
    assert_eq!(base.platform.as_ref().unwrap().text, "$BUILDPLATFORM");
    assert_eq!(base.comment.as_deref(), Some("everything starts here"));
    assert_eq!(
        base.original,
        "from --platform=$BUILDPLATFORM php:${VERSION} as Base"
    );
    assert_eq!(&text[base.base.span.range()], "php:${VERSION}");
    assert_eq!(
        &text[base.platform.as_ref().unwrap().span.range()],
        "$BUILDPLATFORM"
    );
    let run = &base.instructions[0];
    assert_eq!(run.original, "run apt-get update   && true");
    assert_eq!((run.lines.first, run.lines.last), (7, 9));
    assert_eq!(
        &text[run.span.range()],
        "run apt-get update \\\r\n  # why\r\n  && true"
    );
    assert_eq!(
        (last.base.text.as_str(), &last.name, last.lines.first),
        ("base", &None, 10)
    );
    assert_eq!(dockerfile.warnings, []);
}

#[test]
fn exec_and_shell_form() {
    let exec = |parts: &[&str]| CommandLine::Exec(parts.iter().map(ToString::to_string).collect());
    let cases = [
        (r#"CMD ["a", "b c"]"#, exec(&["a", "b c"])),
        (r#"CMD [ "\u00fc\n" ]"#, exec(&["ü\n"])),
        ("CMD []", exec(&[])),
        ("CMD a  b", CommandLine::Shell("a  b".into())),
        ("CMD ['a', 'b']", CommandLine::Shell("['a', 'b']".into())),
        (r#"CMD ["a"] b"#, CommandLine::Shell(r#"["a"] b"#.into())),
        ("CMD", CommandLine::Shell(String::new())),
        ("CMD -- --x", CommandLine::Shell("--x".into())),
    ];
    for (text, wanted) in cases {
        assert_eq!(command(text), Command::Cmd(wanted.clone()), "{text}");
        assert_eq!(
            command(&text.replace("CMD", "ENTRYPOINT")),
            Command::Entrypoint(wanted),
            "{text}"
        );
    }
    assert_eq!(
        command(r#"SHELL ["/bin/bash", "-c"]"#),
        Command::Shell(vec!["/bin/bash".into(), "-c".into()])
    );
}

#[test]
fn run_bodies() {
    assert_eq!(body("RUN a && \\\n b"), shell("a &&  b"));
    assert_eq!(
        body(r#"RUN ["<<EOF"]"#),
        RunBody::Exec(vec!["<<EOF".into()])
    );
    assert_eq!(
        body("RUN <<EOF\necho $A\n# kept\nEOF"),
        shell("echo $A\n# kept\n")
    );
    assert_eq!(body("RUN <<-EOF\n\t\techo a\n\tEOF\n"), shell("echo a\n"));
    assert_eq!(body("RUN <<EOF\r\necho\r\nEOF\r\n"), shell("echo\r\n"));
    assert_eq!(
        body("RUN <<EOF cat > /f\na\nEOF"),
        shell("<<EOF cat > /f\na\nEOF")
    );
    assert_eq!(
        body("RUN cat <<A ; cat <<-'B'\na\nA\n\tb\n\tB"),
        shell("cat <<A ; cat <<-'B'\na\nA\n\tb\nB")
    );
    let script = RunBody::Script {
        name: "EOF".into(),
        content: "#!/usr/bin/env php\n<?php\n".into(),
    };
    assert_eq!(body("RUN <<EOF\n#!/usr/bin/env php\n<?php\nEOF"), script);
    assert_eq!(commands("RUN <<X\nRUN b\nX\nRUN c").len(), 2);
}

#[test]
fn run_flags() {
    let Command::Run(run) = command(
        "RUN --network=none --security=insecure --mount=target=/x --mount=type=tmpfs,target=/y --device=gpu x",
    ) else {
        panic!()
    };
    assert_eq!(
        (run.network, run.security),
        (Network::None, Security::Insecure)
    );
    assert_eq!(
        texts(run.mounts.iter().map(|mount| &mount.options)),
        ["target=/x", "type=tmpfs,target=/y"]
    );
    assert_eq!(
        (run.devices[0].name.as_str(), run.devices.len()),
        ("gpu", 1)
    );
    assert_eq!(run.body, shell("x"));
}

#[test]
fn files() {
    let Command::Copy(copy) = command(
        "COPY --from=0 --chown=1:2 --chmod=u+x --link --parents --exclude=a --exclude=b c d\\ e /f/",
    ) else {
        panic!()
    };
    assert_eq!(copy.from.unwrap().text, "0");
    assert!(copy.parents && copy.files.link);
    assert_eq!(texts(&copy.files.sources), ["c", "d\\", "e"]);
    assert_eq!(texts(&copy.files.excludes), ["a", "b"]);
    assert_eq!(copy.files.destination.text, "/f/");
    let Command::Add(add) =
        command(r#"ADD --checksum=sha256:1 --keep-git-dir --unpack=false ["a b", "/c d"]"#)
    else {
        panic!()
    };
    assert_eq!((add.keep_git_dir, add.unpack), (Some(true), Some(false)));
    assert_eq!(
        (
            texts(&add.files.sources),
            add.files.destination.text.as_str()
        ),
        (vec!["a b"], "/c d")
    );
    let text = "COPY <<X a <<-\"Y\" /d\nY\nX\n\tX\nY\n";
    let Command::Copy(copy) = command(text) else {
        panic!()
    };
    let shown: Vec<_> = copy
        .files
        .heredocs
        .iter()
        .map(|doc| (doc.name.as_str(), doc.content.as_str(), doc.expand))
        .collect();
    assert_eq!(shown, [("X", "Y\n", true), ("Y", "X\n", false)]);
    assert_eq!(texts(&copy.files.sources), ["a"]);
    let Command::Copy(copy) = command("COPY << EOF /d\nx\nEOF") else {
        panic!()
    };
    assert_eq!(
        (copy.files.heredocs.len(), copy.files.sources.len()),
        (1, 0)
    );
}

#[test]
fn pairs() {
    let shown = |text: &str| match command(text) {
        Command::Env(pairs) | Command::Label(pairs) => pairs
            .iter()
            .map(|pair| format!("[{}][{}]{}", pair.name.text, pair.value.text, pair.equals))
            .collect::<Vec<_>>()
            .concat(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        shown(r#"ENV a=b c="d e" f=g\ h i='j=k'"#),
        r#"[a][b]true[c]["d e"]true[f][g\ h]true[i]['j=k']true"#
    );
    assert_eq!(shown("ENV a   b  c=d "), "[a][b  c=d]false");
    assert_eq!(
        shown("LABEL \"a b\"=c \\\n  d="),
        "[\"a b\"][c]true[d][]true"
    );
}

#[test]
fn probes() {
    let flags =
        "--interval=1m30s --timeout=500ms --start-period=0s --start-interval=2s --retries=3";
    let Command::Healthcheck(Healthcheck::Probe(probe)) =
        command(&format!("HEALTHCHECK {flags} CMD curl x"))
    else {
        panic!()
    };
    assert_eq!(probe.command, CommandLine::Shell("curl x".into()));
    assert_eq!(
        (probe.interval, probe.timeout),
        (
            Some(Duration::from_secs(90)),
            Some(Duration::from_millis(500))
        )
    );
    assert_eq!(
        (probe.start_period, probe.start_interval),
        (None, Some(Duration::from_secs(2)))
    );
    assert_eq!(probe.retries, Some(3));
    let Command::Healthcheck(Healthcheck::Probe(probe)) = command(r#"healthcheck cmd ["a"]"#)
    else {
        panic!()
    };
    assert_eq!(probe.command, CommandLine::Exec(vec!["a".into()]));
    assert_eq!(
        command("HEALTHCHECK none"),
        Command::Healthcheck(Healthcheck::None)
    );
}

#[test]
fn words_and_lists() {
    let cases = [
        ("WORKDIR /a b", "/a b"),
        ("USER  www-data:www-data ", "www-data:www-data"),
        ("STOPSIGNAL SIGINT", "SIGINT"),
        ("MAINTAINER A B", "A B"),
    ];
    for (text, wanted) in cases {
        match command(text) {
            Command::Workdir(word)
            | Command::User(word)
            | Command::StopSignal(word)
            | Command::Maintainer(word) => {
                assert_eq!(word.text, wanted, "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    for text in ["VOLUME /a /b", r#"VOLUME ["/a", " /b "]"#] {
        let Command::Volume(paths) = command(text) else {
            panic!()
        };
        assert_eq!(texts(&paths), ["/a", "/b"]);
    }
    let Command::Expose(expose) = command("EXPOSE 80 $PORT/udp 9000-9001") else {
        panic!()
    };
    assert_eq!(texts(&expose.ports), ["$PORT/udp", "80", "9000-9001"]);
}

#[test]
fn triggers() {
    let Command::Onbuild(onbuild) = command("ONBUILD  RUN --network=none cat <<EOF\na\nEOF\n")
    else {
        panic!()
    };
    assert_eq!(onbuild.expression, "RUN --network=none cat <<EOF\na\nEOF");
    let Command::Run(run) = parse_trigger(&onbuild.expression).unwrap().command else {
        panic!()
    };
    assert_eq!(run.body, shell("cat <<EOF\na\nEOF"));
    assert!(parse_trigger("FROM a").is_err());
    assert!(parse_trigger("").is_err());
    assert_eq!(
        parse_trigger("RUN a\nRUN b").unwrap_err()[0].message,
        "an ONBUILD trigger must be a single instruction"
    );
    // What the trigger says is looked at here, but only the build that it triggers can fail by it.
    let dockerfile = parse("FROM a\nONBUILD COPY --form=b c d").unwrap();
    assert_eq!(dockerfile.warnings[0].severity, Severity::Warning);
}

#[test]
fn another_escape_character() {
    let dockerfile = parse("# escape=`\nFROM a\nRUN dir `\n c:\\\nCOPY a `\n\n b").unwrap();
    let instructions = &dockerfile.stages[0].instructions;
    assert_eq!(instructions[0].original, "RUN dir  c:\\");
    assert_eq!(instructions[1].original, "COPY a  b");
    assert_eq!(dockerfile.empty_continuations, [7]);
}

#[test]
fn hostile_files_end() {
    let deep = format!("FROM a\nCMD {}", "[".repeat(100_000));
    assert!(parse(&deep).is_ok());
    assert_eq!(
        parse(&"X\n".repeat(10_000)).unwrap_err().len(),
        limits::FAULTS
    );
    assert_eq!(
        parse(&"#".repeat(limits::TEXT_BYTES + 1))
            .unwrap_err()
            .len(),
        1
    );
    assert!(parse(&format!("FROM a\nRUN {}", "<<A ".repeat(1000))).is_err());
    assert!(parse(&format!("FROM a\n{}x", "ONBUILD ".repeat(100_000))).is_err());
    let continued = format!("FROM a\nRUN x {}", "\\\n y".repeat(20_000));
    assert!(parse(&continued).is_ok());
    let heredocs = format!("FROM a\n{}", "RUN <<A\n\n\nA\n".repeat(5000));
    assert_eq!(parse(&heredocs).unwrap().stages[0].instructions.len(), 5000);
}

/// Cutting and splicing a file that uses everything gives many wrong ones; none may panic, and every fault must render.
#[test]
fn no_text_panics() {
    let text = "# escape=`\n# check=skip=all\nARG A=\"x\nFROM --platform=$A a AS ü\nRUN --mount=type=cache,\"target=ü\" <<-E 'x\n\tü\n\tE\n\
        COPY --link <<E \\\n# c\n [\"ä\", 1] /x\nENV a='b c\" d=$é${x:-y}\nONBUILD ADD <<F\nHEALTHCHECK --interval=1µs CMD [\"\n\
        LABEL =x\nEXPOSE 1-0/ü\nVOLUME [\"\"]\nFORM ü";
    let boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    for &start in &boundaries {
        for &end in boundaries.iter().filter(|&&end| end >= start).step_by(23) {
            let spliced = format!("{}{}", &text[..start], &text[end..]);
            for piece in [&text[start..end], &spliced] {
                let faults =
                    parse(piece).map_or_else(|faults| faults, |dockerfile| dockerfile.warnings);
                assert!(
                    faults
                        .iter()
                        .all(|fault| !fault.render("Dockerfile", piece).is_empty())
                );
            }
        }
    }
}
