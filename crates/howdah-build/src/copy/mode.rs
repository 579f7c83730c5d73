//! `--chmod`: octal, or symbolic as chmod(1) has it.

use super::CopyError;

const EXPECTED: &str = "a mode such as 0644, 755 or u=rwX,go=rX";

/// A mode to set on everything that is copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chmod {
    /// These bits.
    Octal(u32),
    /// Changes of the source's bits, in order.
    Symbolic(Vec<Change>),
}

/// One clause of a symbolic mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which bits the clause is about: those of user, group, others.
    who: u32,
    action: char,
    permissions: String,
}

impl Chmod {
    pub(crate) fn parse(text: &str) -> Result<Chmod, CopyError> {
        let error = || CopyError::Option {
            value: text.to_owned(),
            expected: EXPECTED,
        };
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777);
            return mode.map(Chmod::Octal).ok_or_else(error);
        }
        let clauses = text
            .split(',')
            .map(|clause| parse_clause(clause).ok_or_else(error));
        clauses
            .collect::<Result<Vec<_>, _>>()
            .map(|clauses| Chmod::Symbolic(clauses.concat()))
    }

    /// The mode of a directory that is made because something goes below it. Changes have nothing to change there.
    pub(crate) fn of_new_directory(&self) -> Option<u32> {
        match self {
            Chmod::Octal(mode) => Some(mode & 0o777),
            Chmod::Symbolic(_) => None,
        }
    }

    /// The mode of a file that has `mode` at its source.
    pub(crate) fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Chmod::Octal(mode) => *mode,
            Chmod::Symbolic(changes) => changes
                .iter()
                .fold(mode, |mode, change| change.apply(mode, is_directory)),
        }
    }
}

fn parse_clause(clause: &str) -> Option<Vec<Change>> {
    let actions = ['+', '-', '='];
    let start = clause.find(actions)?;
    let who = clause[..start].chars().try_fold(0, |who, class| {
        Some(
            who | match class {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o0007,
                'a' => 0o7777,
                _ => return None,
            },
        )
    })?;
    let who = if start == 0 { 0o7777 } else { who };
    let mut changes: Vec<Change> = Vec::new();
    for character in clause[start..].chars() {
        if actions.contains(&character) {
            changes.push(Change {
                who,
                action: character,
                permissions: String::new(),
            });
        } else if "rwxXstugo".contains(character) {
            changes.last_mut()?.permissions.push(character);
        } else {
            return None;
        }
    }
    Some(changes)
}

impl Change {
    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let bits = self.permissions.chars().fold(0, |bits, permission| {
            bits | match permission {
                'r' => 0o444,
                'w' => 0o222,
                'X' if !is_directory && mode & 0o111 == 0 => 0,
                'x' | 'X' => 0o111,
                's' => 0o6000,
                'u' => copied(mode >> 6),
                'g' => copied(mode >> 3),
                'o' => copied(mode),
                _ => 0o1000,
            }
        }) & self.who;
        match self.action {
            '+' => mode | bits,
            '-' => mode & !bits,
            // A directory keeps its special bits unless they are named (GNU coreutils, "Directory Setuid and Setgid").
            _ => (mode & !(self.who & if is_directory { 0o777 } else { 0o7777 })) | bits,
        }
    }
}

/// The lowest three bits for user, group and others alike.
fn copied(bits: u32) -> u32 {
    (bits & 0o7) * 0o111
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_chmod_does() {
        for (text, before, directory, after) in [
            ("755", 0o644, false, 0o755),
            ("0644", 0o755, true, 0o644),
            ("u+x", 0o644, false, 0o744),
            ("go-rwx", 0o755, false, 0o700),
            ("a=rX", 0o644, false, 0o444),
            ("a=rX", 0o644, true, 0o555),
            ("u=rwX,go=rX", 0o700, false, 0o755),
            ("+t", 0o777, true, 0o1777),
            ("u+s", 0o755, false, 0o4755),
            ("u+r-w", 0o200, false, 0o400),
            ("g=u,o=g", 0o740, false, 0o777),
        ] {
            assert_eq!(
                Chmod::parse(text).unwrap().apply(before, directory),
                after,
                "{text}"
            );
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "rwx", "z+x", "u+q", "99", "77777", "u"] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
