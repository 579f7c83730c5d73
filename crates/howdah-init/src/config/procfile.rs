//! `Procfile`: one `name: command` a line, as Heroku and foreman read it.

use std::path::Path;

use super::fault::Findings;
use super::section::{Section, Setting, Value};

/// Reads each line into a section.
///
/// A command with shell syntax is given to `/bin/sh -c`, and then its whole group is told to stop, because the shell
/// would not pass the signal on. A Procfile has no word for "this may end", so every program is started again.
pub(crate) fn parse(file: &Path, text: &str, findings: &mut Findings) -> Vec<Section> {
    let mut sections = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, command)) = line
            .split_once(':')
            .map(|(name, command)| (name.trim(), command.trim()))
        else {
            findings.fault(file, number, format!("`{line}` is not `name: command`"));
            continue;
        };
        if name == "release" {
            findings.warn(
                file,
                number,
                "`release` is run when a release is deployed, not here",
            );
            continue;
        }
        let setting = |key: &str, value| Setting {
            key: key.to_owned(),
            value,
            line: number,
        };
        let mut settings = vec![setting("autorestart", Value::Text("true".to_owned()))];
        // `%` is no expansion in a Procfile.
        let command = command.replace('%', "%%");
        if needs_shell(&command) {
            let words = vec!["/bin/sh".to_owned(), "-c".to_owned(), command];
            settings.push(setting("command", Value::List(words)));
            settings.push(setting("stopasgroup", Value::Text("true".to_owned())));
        } else {
            settings.push(setting("command", Value::Text(command)));
        }
        sections.push(Section {
            name: name.to_owned(),
            line: number,
            settings,
        });
    }
    sections
}

fn needs_shell(command: &str) -> bool {
    let assigns = command
        .split_whitespace()
        .next()
        .is_some_and(|first| first.contains('='));
    assigns
        || command.contains([
            '|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '~', '{', '#',
        ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_commands_run_without_a_shell() {
        let mut findings = Findings::default();
        let text = "# apps\nweb: nginx -g 'daemon off'\nworker: A=1 php artisan queue:work --x=50%\nrelease: migrate\nbad\n";
        let sections = parse(Path::new("Procfile"), text, &mut findings);
        let command = |at: usize| {
            sections[at]
                .settings
                .iter()
                .find(|s| s.key == "command")
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(command(0), Value::Text("nginx -g 'daemon off'".to_owned()));
        let shell = ["/bin/sh", "-c", "A=1 php artisan queue:work --x=50%%"].map(str::to_owned);
        assert_eq!(command(1), Value::List(shell.to_vec()));
        assert_eq!(
            (
                findings.faults.len(),
                findings.warnings.len(),
                sections.len()
            ),
            (1, 1, 2)
        );
    }
}
