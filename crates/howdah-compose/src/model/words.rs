//! Command strings to words, as Compose splits them: quotes and backslashes, no expansion.

/// A quote in a command string that is not closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the quote in `{text}` is never closed")]
pub struct WordsError {
    text: String,
}

/// Splits like a POSIX shell does before expansion (XCU 2.2 Quoting); Compose uses go-shellwords.
pub fn split(text: &str) -> Result<Vec<String>, WordsError> {
    let unclosed = || WordsError {
        text: text.to_owned(),
    };
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next().ok_or_else(unclosed)? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                double_quoted(&mut characters, word.get_or_insert_default())
                    .ok_or_else(unclosed)?;
            }
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(other) => word.get_or_insert_default().push(other),
                None => return Err(unclosed()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            '"' => return Some(()),
            '\\' => match characters.next()? {
                '\n' => {}
                escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes() {
        let table: [(&str, &[&str]); 8] = [
            ("php artisan queue:work", &["php", "artisan", "queue:work"]),
            (
                "sh -c 'echo \"a b\"; exit 3'",
                &["sh", "-c", "echo \"a b\"; exit 3"],
            ),
            ("a \"b \\\" c\" d", &["a", "b \" c", "d"]),
            ("a\\ b c", &["a b", "c"]),
            ("  a\n\tb  ", &["a", "b"]),
            ("a '' \"\" b", &["a", "", "", "b"]),
            ("--x=\"1 2\"'3'4", &["--x=1 234"]),
            ("", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(split(text).unwrap(), expected, "{text}");
        }
        for text in ["'a", "\"a", "a\\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
