//! A command line split into words as a POSIX shell quotes them, without running a shell (supervisord: `shlex.split`).

/// Splits `text` into words.
///
/// Single quotes keep everything; double quotes keep all but `\"` and `\\`; a backslash elsewhere keeps the next
/// character. Nothing is expanded.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => quoted(&mut characters, '\'', word.get_or_insert_default())?,
            '"' => quoted(&mut characters, '"', word.get_or_insert_default())?,
            '\\' => match characters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("ends in a lone backslash".to_owned()),
            },
            blank if blank.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(
    characters: &mut std::str::Chars<'_>,
    quote: char,
    word: &mut String,
) -> Result<(), String> {
    while let Some(character) = characters.next() {
        match character {
            end if end == quote => return Ok(()),
            '\\' if quote == '"' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            other => word.push(other),
        }
    }
    Err(format!("has a {quote} that is never closed"))
}

/// Splits `KEY="value",OTHER=value` (supervisord's `environment`) into pairs. Commas and line ends separate.
pub(crate) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut characters = text.chars().peekable();
    loop {
        while characters
            .next_if(|c| c.is_whitespace() || *c == ',')
            .is_some()
        {}
        if characters.peek().is_none() {
            return Ok(pairs);
        }
        let mut key = String::new();
        while let Some(character) = characters.next_if(|c| !matches!(c, '=' | ',' | '\n')) {
            key.push(character);
        }
        let key = key.trim().to_owned();
        if characters.next_if_eq(&'=').is_none() || key.is_empty() {
            return Err(format!("has `{key}` where KEY=value is expected"));
        }
        while characters.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        let mut value = String::new();
        if let Some(quote) = characters.next_if(|c| matches!(c, '"' | '\'')) {
            let mut rest = characters.clone().collect::<String>();
            let mut inner = rest.chars();
            quoted(&mut inner, quote, &mut value)?;
            rest = inner.collect();
            let consumed = characters.clone().count() - rest.chars().count();
            characters.nth(consumed - 1);
        } else {
            while let Some(character) = characters.next_if(|c| !matches!(c, ',' | '\n')) {
                value.push(character);
            }
            value.truncate(value.trim_end().len());
        }
        pairs.push((key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_as_a_shell_quotes() {
        let words = split(r#"php  artisan 'queue:work now' --name="a \"b\" c\d" \ x"#).unwrap();
        assert_eq!(
            words,
            [
                "php",
                "artisan",
                "queue:work now",
                r#"--name=a "b" c\d"#,
                " x"
            ]
        );
        assert_eq!(split("  '' ").unwrap(), [""]);
        assert!(
            split("nginx -g 'daemon off;")
                .unwrap_err()
                .contains("never closed")
        );
    }

    #[test]
    fn pairs_are_separated_by_commas_and_lines() {
        let pairs = pairs("A=\"1,2\",B=two words ,\n  C='x=y',D=").unwrap();
        let expected = [("A", "1,2"), ("B", "two words"), ("C", "x=y"), ("D", "")];
        assert_eq!(
            pairs,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn pairs_without_equals_are_refused() {
        assert!(pairs("A=1,B").unwrap_err().contains("`B`"));
        assert!(pairs("A=\"1").unwrap_err().contains("never closed"));
    }
}
