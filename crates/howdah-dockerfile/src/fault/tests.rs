//! What a user sees of a wrong Dockerfile.

use crate::parse;

/// All faults of a file, or all warnings when it has none.
fn render(text: &str) -> String {
    let faults = parse(text).map_or_else(|faults| faults, |dockerfile| dockerfile.warnings);
    faults
        .iter()
        .map(|fault| fault.render("Dockerfile", text))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn misspelt_names() {
    let text = "FROM php:8.3 AS base\nCOYP . /app\nCOPY --form=base --lnik . /app\nRUN --mount=type=cahce,target=/x true\n";
    insta::assert_snapshot!(render(text), @r#"
    error: unknown instruction `COYP`
     --> Dockerfile:2:1
      |
    2 | COYP . /app
      | ^^^^
      = help: write `COPY`

    error: `COPY` has no flag `--form`
     --> Dockerfile:3:6
      |
    3 | COPY --form=base --lnik . /app
      |      ^^^^^^
      = help: write `--from`

    error: `COPY` has no flag `--lnik`
     --> Dockerfile:3:18
      |
    3 | COPY --form=base --lnik . /app
      |                  ^^^^^^
      = help: write `--link`

    error: unknown mount type `cahce`
     --> Dockerfile:4:13
      |
    4 | RUN --mount=type=cahce,target=/x true
      |             ^^^^^^^^^^^^^^^^^^^^
      = help: write `type=cache`
    "#);
}

#[test]
fn wrong_values() {
    let text = "FROM a\nRUN --network=hots x\nCOPY --link=yes a b\nHEALTHCHECK --interval=30 --retries=x CMD true\nEXPOSE 80 http\n";
    insta::assert_snapshot!(render(text), @r#"
    error: `--network` cannot be `hots`
     --> Dockerfile:2:15
      |
    2 | RUN --network=hots x
      |               ^^^^
      = help: write `--network=host`

    error: `--link` is true or false, not `yes`
     --> Dockerfile:3:6
      |
    3 | COPY --link=yes a b
      |      ^^^^^^^^^^
      = help: write `--link` or `--link=false`

    error: `30` is not a duration
     --> Dockerfile:4:24
      |
    4 | HEALTHCHECK --interval=30 --retries=x CMD true
      |                        ^^
      = help: write it with a unit, such as `30s` or `1m30s`

    error: `http` is not a port
     --> Dockerfile:5:11
      |
    5 | EXPOSE 80 http
      |           ^^^^
      = help: write a port or a range, such as `80`, `53/udp` or `8000-8010/tcp`
    "#);
}

#[test]
fn missing_arguments() {
    let text = "FROM a b\nCOPY .\nENV A\nENV A=b c\nWORKDIR\nSHELL /bin/bash -c\nCMD [\"a\", 1]\n";
    insta::assert_snapshot!(render(text), @r#"
    error: `FROM` needs an image, and nothing else or `AS` and a name
     --> Dockerfile:1:6
      |
    1 | FROM a b
      |      ^^^
      = help: write `FROM image` or `FROM image AS name`

    error: `COPY` needs a source and a destination
     --> Dockerfile:2:6
      |
    2 | COPY .
      |      ^
      = help: write `COPY . destination`

    error: `A` gets no value
     --> Dockerfile:3:5
      |
    3 | ENV A
      |     ^
      = help: write `ENV A=value`

    error: `c` has no `=`
     --> Dockerfile:4:9
      |
    4 | ENV A=b c
      |         ^
      = help: put the value in quotes if it contains spaces

    error: `WORKDIR` has no argument
     --> Dockerfile:5:1
      |
    5 | WORKDIR
      | ^^^^^^^
      = help: write `WORKDIR /app`

    error: `SHELL` needs a JSON array with a program
     --> Dockerfile:6:7
      |
    6 | SHELL /bin/bash -c
      |       ^^^^^^^^^^^^
      = help: write `SHELL ["/bin/bash", "-c"]`

    error: the JSON array holds something else than strings
     --> Dockerfile:7:5
      |
    7 | CMD ["a", 1]
      |     ^^^^^^^^
      = help: put every element in double quotes
    "#);
}

#[test]
fn order_and_names() {
    insta::assert_snapshot!(render("ENV A=b\nFROM a AS 1st\nONBUILD FROM b\nRUN x\n"), @r#"
    error: `ENV` stands before the first `FROM`
     --> Dockerfile:1:1
      |
    1 | ENV A=b
      | ^^^^^^^
      = help: only `ARG` may stand there; begin a stage with `FROM image`

    error: `1st` cannot be the name of a stage
     --> Dockerfile:2:11
      |
    2 | FROM a AS 1st
      |           ^^^
      = help: a name begins with a letter and goes on with letters, digits, `-`, `_` and `.`

    error: `FROM` cannot be an ONBUILD trigger
     --> Dockerfile:3:9
      |
    3 | ONBUILD FROM b
      |         ^^^^
    "#);
    insta::assert_snapshot!(render("# nothing\n"), @r#"
    error: the file has no stage to build
     --> Dockerfile:1:10
      |
    1 | # nothing
      |          ^
      = help: begin with `FROM image`
    "#);
    insta::assert_snapshot!(render(""), @r#"
    error: the file is empty
     --> Dockerfile:1:1
      = help: begin with `FROM image`
    "#);
}

#[test]
fn heredocs() {
    insta::assert_snapshot!(render("FROM a\nRUN <<EOF\necho\nCMD x\n"), @r#"
    error: the heredoc `EOF` is never closed
     --> Dockerfile:2:5
      |
    2 | RUN <<EOF
      |     ^^^^^
      = help: put a line with only `EOF` behind its text
    "#);
    insta::assert_snapshot!(render("FROM a\nCOPY a <<EOF\nx\nEOF\n"), @r#"
    error: a heredoc cannot be the destination of `COPY`
     --> Dockerfile:2:8
      |
    2 | COPY a <<EOF
      |        ^^^^^
      = help: write `COPY <<EOF /path`
    "#);
}

#[test]
fn variables_where_none_can_be() {
    let text = "FROM a\nCOPY --from=$BASE a b\nRUN --mount=from=$BASE,target=/x true\n";
    insta::assert_snapshot!(render(text), @r#"
    error: `--from` cannot contain a variable
     --> Dockerfile:2:13
      |
    2 | COPY --from=$BASE a b
      |             ^^^^^
      = help: name a stage with `FROM ${image} AS name` and copy `--from=name`

    error: `from` of a mount cannot contain a variable
     --> Dockerfile:3:13
      |
    3 | RUN --mount=from=$BASE,target=/x true
      |             ^^^^^^^^^^^^^^^^^^^^
      = help: name a stage with `FROM ${image} AS name` and mount `from=name`
    "#);
}

#[test]
fn warnings() {
    let text = "FROM a AS x\nRUN a \\\n\n  && b\nCMD ['php', 'artisan']\nCMD b\nFROM a AS x\nONBUILD RUN --mount=x y\nRUN\n";
    insta::assert_snapshot!(render(text), @r#"
    warning: this is no JSON array, so a shell will run it as it stands
     --> Dockerfile:5:5
      |
    5 | CMD ['php', 'artisan']
      |     ^^^^^^^^^^^^^^^^^^
      = help: use double quotes, and commas only between the elements

    warning: unknown mount option `x`
     --> Dockerfile:8:21
      |
    8 | ONBUILD RUN --mount=x y
      |                     ^

    warning: `RUN` runs nothing
     --> Dockerfile:9:1
      |
    9 | RUN
      | ^^^
      = help: write a command behind it
    "#);
}

#[test]
fn faults_in_continued_lines_are_shown_where_they_stand() {
    let text = "FROM a\nENV A=b \\\n    # a comment\n\tB=c d\\\n    E=f\n";
    insta::assert_snapshot!(render(text), @r#"
    error: `d` has no `=`
     --> Dockerfile:4:6
      |
    4 |     B=c d\
      |         ^
      = help: put the value in quotes if it contains spaces
    "#);
}

#[test]
fn long_lines_and_control_characters_are_tamed() {
    let text = format!(
        "FROM a\nENV {} x\u{1b}[31m {}\n",
        "A=b ".repeat(60),
        "C=d ".repeat(60)
    );
    insta::assert_snapshot!(render(&text), @r#"
    error: `x�[31m` has no `=`
     --> Dockerfile:2:246
      |
    2 | ... A=b A=b A=b A=b A=b A=b A=b  x�[31m C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d C=d...
      |                                  ^^^^^^
      = help: put the value in quotes if it contains spaces
    "#);
}
