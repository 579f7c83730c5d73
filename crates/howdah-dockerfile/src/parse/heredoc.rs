//! Finding the heredocs that a line announces.

use crate::expand::{heredoc_delimiter, raw_words};

/// `3<<-NAME` without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) name: String,
    pub(super) expand: bool,
    pub(super) chomp: bool,
    pub(super) descriptor: u32,
}

/// The heredocs of a line, in order; an error says why a delimiter cannot be read.
pub(super) fn announced(line: &str) -> Result<Vec<Announced>, String> {
    // Most lines have none, and need not be scanned.
    if !line.contains("<<") {
        return Ok(Vec::new());
    }
    raw_words(line)
        .iter()
        .filter_map(|word| parse(word).transpose())
        .collect()
}

/// Reads a word as `[descriptor]<<[-]delimiter`; `None` when it is something else.
pub(super) fn parse(word: &str) -> Result<Option<Announced>, String> {
    let Some((descriptor, rest)) = word.split_once("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = rest
        .strip_prefix('-')
        .map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit())
        || rest.is_empty()
        || rest.contains('<')
    {
        return Ok(None);
    }
    let delimiter = heredoc_delimiter(rest).map_err(|error| error.to_string())?;
    Ok(delimiter.map(|(name, quoted)| Announced {
        name,
        expand: !quoted,
        chomp,
        descriptor: descriptor.parse().unwrap_or(0),
    }))
}

/// Removes the leading tabs of every line, as `<<-` asks for.
pub(super) fn chomp(content: &str) -> String {
    content
        .split_inclusive('\n')
        .map(|line| line.trim_start_matches('\t'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters() {
        let cases = [
            ("RUN <<EOF", "EOF"),
            ("RUN <<-EOF", "-EOF"),
            ("RUN <<- EOF", "-EOF"),
            ("RUN << -EOF", "-EOF"),
            ("RUN <<  EOF  > foo", "EOF"),
            ("RUN 4<<EOF", "EOF"),
            ("RUN cat <<A >x; cat <<'B'", "A, 'B"),
            ("RUN <<EOF <<EOF2", "EOF, EOF2"),
            ("RUN <<eo'f'", "'eof"),
            (r"RUN <<eo\'f", "eo'f"),
            (r"RUN <<'e'o\'f", "'eo'f"),
            ("RUN <<'one two'", "'one two"),
            ("RUN <<$EOF", "$EOF"),
            ("RUN --mount=type=cache,target=/x <<EOF sh", "EOF"),
            ("RUN '<<EOF'", ""),
            ("RUN \"<<EOF\"", ""),
            ("RUN cat <<<EOF", ""),
            ("RUN a <<", ""),
            ("RUN echo $((1<<2))", ""),
            // A line that the lexer cannot read has no heredocs.
            ("RUN echo it's <<EOF", ""),
        ];
        for (line, wanted) in cases {
            let found = announced(line).unwrap();
            let shown: Vec<String> = found
                .iter()
                .map(|heredoc| {
                    let chomp = if heredoc.chomp { "-" } else { "" };
                    let quote = if heredoc.expand { "" } else { "'" };
                    format!("{chomp}{quote}{}", heredoc.name)
                })
                .collect();
            // `<< -EOF` has a delimiter that begins with a dash.
            assert_eq!(shown.join(", "), wanted, "{line}");
        }
        assert_eq!(announced("RUN 3<<EOF").unwrap()[0].descriptor, 3);
    }

    #[test]
    fn leading_tabs_go() {
        assert_eq!(chomp("\t\thello\n\tworld\n  x\n"), "hello\nworld\n  x\n");
    }
}
