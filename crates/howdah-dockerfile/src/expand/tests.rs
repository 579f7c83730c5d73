use super::*;
use crate::{Command, parse};

fn variables() -> BTreeMap<String, String> {
    [
        ("FOO", "xxyy"),
        ("EMPTY", ""),
        ("PATH_LIKE", "/tmp/foo.txt"),
        ("TWO", "a b"),
        ("한국", "어"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn word(text: &str) -> String {
    match Lexer::new('\\').word(text, &variables(), &mut Names::default()) {
        Ok(word) => word,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn one_word() {
    let cases = [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ("he\"ll\"o", "hello"),
        ("he'llo", "error: the ' quote is never closed"),
        ("he\"llo", "error: the \" quote is never closed"),
        (r"he\'llo", "he'llo"),
        (r"abc\tdef", "abctdef"),
        (r"abc\\tdef", r"abc\tdef"),
        (r"a\", "a"),
        (r"'a\b\'", r"a\b\"),
        (r#""a\b\"c\\d\$e""#, r#"a\b"c\d$e"#),
        ("\"a'b\"'c\"d'", "a'bc\"d"),
        ("$FOO", "xxyy"),
        ("${FOO}", "xxyy"),
        (r"\$FOO", "$FOO"),
        ("'$FOO'", "$FOO"),
        ("\"$FOO ${FOO}\"", "xxyy xxyy"),
        ("$FOO.x$EMPTY$UNSET.", "xxyy.x."),
        ("$한국", "어"),
        ("$", "$"),
        ("a$", "a$"),
        ("$(x)", "$(x)"),
        ("$1x$@y", "xy"),
        ("$$", ""),
        ("${UNSET:-a b}${UNSET-}", "a b"),
        ("${EMPTY:-a}${EMPTY-b}", "a"),
        ("${FOO:+a}${EMPTY:+b}${EMPTY+c}${UNSET+d}", "ac"),
        ("${UNSET:-${EMPTY:-$FOO}}", "xxyy"),
        ("${UNSET:-\"}\"}", "}"),
        (r"${UNSET:-\}}", "}"),
        ("${FOO?no}${EMPTY?no}", "xxyy"),
        ("${EMPTY:?}", "error: EMPTY: is not allowed to be empty"),
        ("${UNSET?}", "error: UNSET: is not allowed to be unset"),
        ("${UNSET:?set $FOO}", "error: UNSET: set xxyy"),
        ("${FOO#x}${FOO##*x}${FOO%y}${FOO%%y*}", "xyyyyxxyxx"),
        ("${FOO#$EMPTY}${FOO#}", "xxyyxxyy"),
        ("${FOO/x/z}", "zxyy"),
        ("${FOO//x/z}", "zzyy"),
        (r"${PATH_LIKE//\//\/}", r"\/tmp\/foo.txt"),
        ("${PATH_LIKE/\\/tmp/}", "/foo.txt"),
        ("${FOO///}", "xxyy"),
        (
            "${FOO/x}",
            "error: `${FOO/` has no second `/` before the replacement",
        ),
        ("${FOO", "error: `${` is never closed by `}`"),
        ("${", "error: `${` is never closed by `}`"),
        ("${FOO:-x", "error: `${` is never closed by `}`"),
        (
            "${}",
            "error: `${` is not followed by the name of a variable",
        ),
        (
            "${{FOO}}",
            "error: `${` is not followed by the name of a variable",
        ),
        (
            "${FOO=x}",
            "error: `${FOO=` is not a substitution that Dockerfiles have",
        ),
        (
            "${FOO:#x}",
            "error: `${FOO:#` is not a substitution that Dockerfiles have",
        ),
        (
            "${FOO x}",
            "error: `${FOO ` is not a substitution that Dockerfiles have",
        ),
        (
            r"${FOO#\x}",
            r"error: `\x` is no escape of the pattern `\x`",
        ),
    ];
    for (text, wanted) in cases {
        assert_eq!(word(text), wanted, "{text}");
    }
}

#[test]
fn another_escape_character() {
    let lexer = Lexer::new('`');
    let word = |text| {
        lexer
            .word(text, &variables(), &mut Names::default())
            .unwrap()
    };
    assert_eq!(word(r"c:\dir`$FOO\$FOO"), r"c:\dir$FOO\xxyy");
    assert_eq!(word("\"`\"`x\""), "\"`x");
}

#[test]
fn many_words() {
    let words = |text: &str| {
        Lexer::new('\\')
            .words(text, &variables(), &mut Names::default())
            .unwrap()
    };
    assert_eq!(words(" hello  world "), ["hello", "world"]);
    assert_eq!(words("$TWO"), ["a", "b"]);
    assert_eq!(words("x${TWO}y"), ["xa", "by"]);
    assert_eq!(words("\"$TWO\" 'c d'"), ["a b", "c d"]);
    assert_eq!(words(r"a\ b"), ["a b"]);
    assert_eq!(words("80${EMPTY:-81}"), ["8081"]);
    assert_eq!(words("$EMPTY"), [""; 0]);
}

#[test]
fn heredocs_keep_their_quotes() {
    let text = "\"$FOO\" '$FOO' \\$FOO\n\\\n";
    let result = Lexer::new('`')
        .heredoc(text, &variables(), &mut Names::default())
        .unwrap();
    assert_eq!(result, "\"xxyy\" 'xxyy' $FOO\n\n");
}

#[test]
fn display_keeps_what_it_does_not_know() {
    let lexer = Lexer::new('\\');
    assert_eq!(
        lexer.display("RUN \"$FOO\" $UNSET ${UNSET:-x}", &variables()),
        "RUN \"xxyy\" $UNSET ${UNSET:-x}"
    );
    assert_eq!(
        lexer.display("RUN echo it's $FOO", &variables()),
        "RUN echo it's $FOO"
    );
}

#[test]
fn names_are_reported() {
    let mut names = Names::default();
    Lexer::new('\\')
        .word(
            "$FOO ${NONE} ${OTHER:-x} '$QUOTED'",
            &variables(),
            &mut names,
        )
        .unwrap();
    assert_eq!(names.matched.into_iter().collect::<Vec<_>>(), ["FOO"]);
    assert_eq!(
        names.unmatched.into_iter().collect::<Vec<_>>(),
        ["NONE", "OTHER"]
    );
}

#[test]
fn hostile_words_end() {
    let deep = "${A:-".repeat(100_000);
    assert_eq!(word(&deep), format!("error: {}", ExpandError::Depth));
    let big = BTreeMap::from([("A".to_owned(), "x".repeat(1 << 20))]);
    let result = Lexer::new('\\').word(&"$A".repeat(100), &big, &mut Names::default());
    assert_eq!(result, Err(ExpandError::Length));
    let result = Lexer::new('\\').word(
        &format!("${{A//x/{}}}", "y".repeat(100)),
        &big,
        &mut Names::default(),
    );
    assert_eq!(result, Err(ExpandError::Length));
}

fn expand(line: &str) -> Result<(Command, Names), String> {
    let dockerfile = parse(&format!("FROM scratch\n{line}\n")).unwrap();
    let command = &dockerfile.stages[0].instructions[0].command;
    command
        .expand(&Lexer::new('\\'), &variables())
        .map_err(|fault| fault.message)
}

/// Which parts of which instructions expand, as the documentation of Dockerfiles lists it.
#[test]
fn commands() {
    let text = |command: &Command| match command {
        Command::Workdir(word)
        | Command::User(word)
        | Command::StopSignal(word)
        | Command::Maintainer(word) => word.text.clone(),
        Command::Env(pairs) | Command::Label(pairs) => pairs
            .iter()
            .map(|pair| format!("{}={};", pair.name.text, pair.value.text))
            .collect::<Vec<_>>()
            .concat(),
        Command::Volume(words) => words.iter().map(|word| word.text.clone() + ";").collect(),
        Command::Expose(expose) => expose
            .ports
            .iter()
            .map(|word| word.text.clone() + ";")
            .collect(),
        Command::Copy(copy) => {
            let files = &copy.files;
            let optional = |word: &Option<crate::Word>| {
                word.as_ref()
                    .map_or(String::new(), |word| word.text.clone())
            };
            let words: Vec<&str> = files
                .sources
                .iter()
                .chain(&files.excludes)
                .map(|word| word.text.as_str())
                .collect();
            let bodies: Vec<&str> = files
                .heredocs
                .iter()
                .map(|heredoc| heredoc.content.as_str())
                .collect();
            format!(
                "{words:?} {} {} {} {bodies:?}",
                files.destination.text,
                optional(&files.chown),
                optional(&files.chmod)
            )
        }
        other => format!("{other:?}"),
    };
    let cases = [
        ("WORKDIR /$FOO/'a b'", "/xxyy/a b"),
        ("USER $FOO:$EMPTY", "xxyy:"),
        ("STOPSIGNAL SIG$FOO", "SIGxxyy"),
        ("MAINTAINER $FOO", "$FOO"),
        ("ENV A=$FOO B=\"$TWO\" $FOO=c", "A=xxyy;B=a b;xxyy=c;"),
        ("ENV A b \"$FOO\"  c", "A=b xxyy  c;"),
        ("LABEL \"a b\"='$FOO'", "a b=$FOO;"),
        ("VOLUME $TWO /x", "a b;/x;"),
        ("EXPOSE $TWO 80", "a;b;80;"),
        (
            "COPY --chown=$FOO --chmod=$EMPTY --exclude=$FOO*  $FOO <<A <<'B' /$FOO\n$FOO\nA\n$FOO\nB",
            r#"["xxyy", "$FOO*"] /xxyy xxyy  ["xxyy\n", "$FOO\n"]"#,
        ),
    ];
    for (line, wanted) in cases {
        assert_eq!(text(&expand(line).unwrap().0), wanted, "{line}");
    }
    for line in [
        "RUN echo $FOO",
        "CMD [\"$FOO\"]",
        "ENTRYPOINT $FOO",
        "HEALTHCHECK CMD $FOO",
        "SHELL [\"$FOO\"]",
        "ARG A=$FOO",
        "ONBUILD RUN $FOO",
    ] {
        let unchanged = parse(&format!("FROM scratch\n{line}\n")).unwrap().stages[0].instructions
            [0]
        .command
        .clone();
        assert_eq!(expand(line).unwrap().0, unchanged, "{line}");
    }
    assert_eq!(
        expand("WORKDIR ${FOO").unwrap_err(),
        "cannot expand `${FOO`: `${` is never closed by `}`"
    );
    assert_eq!(expand("ENV A=$NONE").unwrap().1.unmatched.len(), 1);
}
