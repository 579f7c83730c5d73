//! The arguments of `COPY` and `ADD`.

use super::{
    Faults, config,
    flags::{Flags, Kind},
    heredoc, json,
    statement::Statement,
};
use crate::{Add, Copy, Fault, Files, Heredoc, Span, Word};

/// `COPY [flags] source ... destination`
pub(super) fn copy(statement: &Statement) -> Result<Copy, Faults> {
    let flags = Flags::read(
        statement,
        &[
            ("from", Kind::Value),
            ("chown", Kind::Value),
            ("chmod", Kind::Value),
            ("link", Kind::Switch),
            ("parents", Kind::Switch),
            ("exclude", Kind::List),
        ],
    )?;
    let from = flags.nonempty("from");
    if let Some(from) = from
        .as_ref()
        .filter(|from| from.text.contains(['$', '"', '\'', '\\']))
    {
        let fault = Fault::error(from.span, "`--from` cannot contain a variable");
        return Err(fault
            .with_help("name a stage with `FROM ${image} AS name` and copy `--from=name`")
            .into());
    }
    let parents = flags.switch("parents").unwrap_or(false);
    Ok(Copy {
        files: files(statement, &flags)?,
        from,
        parents,
    })
}

/// `ADD [flags] source ... destination`
pub(super) fn add(statement: &Statement) -> Result<Add, Faults> {
    let flags = Flags::read(
        statement,
        &[
            ("chown", Kind::Value),
            ("chmod", Kind::Value),
            ("link", Kind::Switch),
            ("keep-git-dir", Kind::Switch),
            ("checksum", Kind::Value),
            ("unpack", Kind::Switch),
            ("exclude", Kind::List),
        ],
    )?;
    Ok(Add {
        files: files(statement, &flags)?,
        checksum: flags.nonempty("checksum"),
        keep_git_dir: flags.switch("keep-git-dir"),
        unpack: flags.switch("unpack"),
    })
}

fn files(statement: &Statement, flags: &Flags) -> Result<Files, Faults> {
    let keyword = statement.keyword();
    let exec_form = json::array(statement, statement.rest.clone())?.is_some();
    let mut arguments = config::arguments(statement)?;
    if !exec_form {
        join_spaced_heredocs(&mut arguments);
    }
    let Some(destination) = arguments.pop().filter(|_| !arguments.is_empty()) else {
        let fault = Fault::error(
            statement.rest_span(),
            format!("`{keyword}` needs a source and a destination"),
        );
        let source = statement.rest_text();
        let source = if source.is_empty() || source.contains(char::is_whitespace) {
            "source"
        } else {
            source
        };
        return Err(fault
            .with_help(format!("write `{keyword} {source} destination`"))
            .into());
    };
    if !exec_form && is_heredoc(&destination) {
        let fault = Fault::error(
            destination.span,
            format!("a heredoc cannot be the destination of `{keyword}`"),
        );
        return Err(fault
            .with_help(format!("write `{keyword} {} /path`", destination.text))
            .into());
    }
    let mut bodies = statement.heredocs.iter();
    let mut sources = Vec::new();
    let mut heredocs = Vec::new();
    for source in arguments {
        if exec_form || !is_heredoc(&source) {
            sources.push(source);
            continue;
        }
        match bodies.next() {
            Some(body) => heredocs.push(plain(body)),
            None => {
                return Err(Fault::error(
                    source.span,
                    format!("the heredoc `{}` has no text", source.text),
                )
                .into());
            }
        }
    }
    Ok(Files {
        sources,
        heredocs,
        destination,
        chown: flags.nonempty("chown"),
        chmod: flags.nonempty("chmod"),
        link: flags.switch("link").unwrap_or(false),
        excludes: flags.list("exclude"),
    })
}

fn is_heredoc(word: &Word) -> bool {
    matches!(heredoc::parse(&word.text), Ok(Some(_)))
}

/// `<< NAME` is one heredoc although white space separates arguments.
fn join_spaced_heredocs(arguments: &mut Vec<Word>) {
    let mut index = 0;
    while index + 1 < arguments.len() {
        let opens = arguments[index]
            .text
            .trim_start_matches(|character: char| character.is_ascii_digit());
        if opens == "<<" || opens == "<<-" {
            let name = arguments.remove(index + 1);
            let word = &mut arguments[index];
            word.text.push_str(&name.text);
            word.span = Span::new(word.span.start, name.span.end);
        }
        index += 1;
    }
}

/// The text as it is written to the file.
fn plain(heredoc: &Heredoc) -> Heredoc {
    let mut heredoc = heredoc.clone();
    if heredoc.chomp {
        heredoc.content = heredoc::chomp(&heredoc.content);
    }
    heredoc
}
