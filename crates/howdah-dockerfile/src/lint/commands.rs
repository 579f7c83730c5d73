//! What a shell script calls, as far as it can be told without running it.

use crate::{CommandLine, Run, RunBody};

/// One call of a program: its words without quotes.
pub type Call = Vec<String>;

/// Words that only introduce a command.
const INTRODUCTIONS: [&str; 14] = [
    "exec", "if", "then", "else", "elif", "while", "until", "do", "!", "{", "(", "sudo", "time",
    "nohup",
];

/// The calls of a script in their order. Quotes group and disappear; `&&`, `||`, `|`, `;`, `&` and line ends separate;
/// variables stay as written; comments and leading assignments are dropped.
pub fn calls(script: &str) -> Vec<Call> {
    let mut splitter = Splitter::default();
    let joined = script.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut characters = joined.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => splitter.word(characters.next()),
            '\'' | '"' => {
                splitter.word(None);
                splitter
                    .word
                    .get_or_insert_default()
                    .extend(characters.by_ref().take_while(|next| *next != character));
            }
            '#' if splitter.word.is_none() => {
                while characters.next_if(|next| *next != '\n').is_some() {}
            }
            ';' | '&' | '|' | '\n' | '(' | ')' => splitter.end_call(),
            _ if character.is_whitespace() => splitter.end_word(),
            _ => splitter.word(Some(character)),
        }
    }
    splitter.end_call();
    splitter.calls
}

#[derive(Default)]
struct Splitter {
    calls: Vec<Call>,
    call: Call,
    word: Option<String>,
}

impl Splitter {
    fn word(&mut self, character: Option<char>) {
        self.word.get_or_insert_default().extend(character);
    }

    fn end_word(&mut self) {
        let Some(word) = self.word.take() else { return };
        let assignment = || {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| {
                !name.is_empty()
                    && name
                        .chars()
                        .all(|part| part.is_ascii_alphanumeric() || part == '_')
            })
        };
        let leads =
            self.call.is_empty() && (INTRODUCTIONS.contains(&word.as_str()) || assignment());
        if !leads {
            self.call.push(word);
        }
    }

    fn end_call(&mut self) {
        self.end_word();
        if !self.call.is_empty() {
            self.calls.push(std::mem::take(&mut self.call));
        }
    }
}

/// The calls of words that are executed without a shell; `sh -c` is looked into.
pub fn calls_of_words(words: &[String]) -> Vec<Call> {
    let shell = words
        .first()
        .is_some_and(|first| matches!(base_name(first), "sh" | "bash" | "dash" | "ash"));
    match words {
        [_, flag, script, ..] if shell && flag.starts_with('-') && flag.ends_with('c') => {
            calls(script)
        }
        [] => Vec::new(),
        words => vec![words.to_vec()],
    }
}

impl CommandLine {
    /// The programs that the command calls.
    pub fn calls(&self) -> Vec<Call> {
        match self {
            CommandLine::Exec(words) => calls_of_words(words),
            CommandLine::Shell(script) => calls(script),
        }
    }
}

impl Run {
    /// The programs that the instruction calls.
    pub fn calls(&self) -> Vec<Call> {
        match &self.body {
            RunBody::Exec(words) => calls_of_words(words),
            RunBody::Shell(script)
            | RunBody::Script {
                content: script, ..
            } => calls(script),
        }
    }
}

/// The program's name without its directory.
pub fn program(call: &[String]) -> &str {
    call.first().map_or("", |word| base_name(word))
}

/// The last part of a path.
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The words behind the program that are no options.
pub fn operands(call: &[String]) -> impl Iterator<Item = &str> {
    call.iter()
        .skip(1)
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
}

/// The command of `php artisan COMMAND`.
pub fn artisan(call: &[String]) -> Option<&str> {
    let at = call.iter().position(|word| base_name(word) == "artisan")?;
    let rest = call[at + 1..].iter().map(String::as_str);
    rest.into_iter().find(|word| !word.starts_with('-'))
}

/// Whether the call changes the schema of a database, without a lock that lets only one do it.
pub fn migrates(call: &[String]) -> bool {
    let migration = |word: &String| {
        matches!(
            word.as_str(),
            "migrate"
                | "migrate:fresh"
                | "migrate:refresh"
                | "db:migrate"
                | "doctrine:migrations:migrate"
        )
    };
    let isolated = call.iter().any(|word| word.starts_with("--isolated"));
    let tool = matches!(program(call), "echo" | "printf");
    !isolated && !tool && call.iter().skip(1).any(migration)
}

/// What a call changes, if it is one of those that people put into health checks although they change something.
pub fn side_effect(call: &[String]) -> Option<String> {
    if let Some(command) = artisan(call) {
        return changes_something(command).then(|| format!("artisan {command}"));
    }
    let name = program(call);
    let effect = match name {
        "curl" => call.iter().zip(call.iter().skip(1)).any(|(flag, value)| {
            matches!(flag.as_str(), "-d" | "--data" | "--data-raw" | "-F" | "-T")
                || (matches!(flag.as_str(), "-X" | "--request")
                    && !matches!(value.as_str(), "GET" | "HEAD" | "OPTIONS"))
        }),
        "wget" => call.iter().any(|word| word.starts_with("--post-")),
        "supervisorctl" => operands(call).next().is_some_and(|word| word != "status"),
        "rm" | "kill" | "pkill" | "killall" | "apt-get" | "apk" | "composer" | "npm" => true,
        "systemctl" | "service" => {
            operands(call).any(|word| matches!(word, "restart" | "start" | "stop"))
        }
        _ => migrates(call),
    };
    effect.then(|| name.to_owned())
}

/// Laravel's commands that do more than look.
fn changes_something(command: &str) -> bool {
    const GROUPS: [&str; 12] = [
        "migrate",
        "make",
        "optimize",
        "cache",
        "passport",
        "octane",
        "install",
        "vendor",
        "package",
        "telescope",
        "pulse",
        "reverb",
    ];
    const COMMANDS: [&str; 36] = [
        "schedule:run",
        "schedule:work",
        "schedule:test",
        "schedule:finish",
        "schedule:clear-cache",
        "db:seed",
        "db:wipe",
        "queue:work",
        "queue:listen",
        "queue:restart",
        "queue:retry",
        "queue:retry-batch",
        "queue:flush",
        "queue:forget",
        "queue:clear",
        "queue:prune-failed",
        "queue:prune-batches",
        "config:cache",
        "config:clear",
        "route:cache",
        "route:clear",
        "view:cache",
        "view:clear",
        "event:cache",
        "event:clear",
        "key:generate",
        "storage:link",
        "model:prune",
        "horizon",
        "horizon:terminate",
        "horizon:pause",
        "horizon:continue",
        "horizon:snapshot",
        "down",
        "up",
        "serve",
    ];
    let group = command.split(':').next().unwrap_or(command);
    let reads = matches!(command, "migrate:status" | "octane:status");
    !reads && (GROUPS.contains(&group) || COMMANDS.contains(&command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(script: &str) -> Vec<String> {
        calls(script).iter().map(|call| call.join("|")).collect()
    }

    #[test]
    fn scripts_fall_apart_into_calls() {
        assert_eq!(
            shown(
                "A=1 apt-get update && apt-get install -y \"a b\" \\\n c; # no; one\nif ! curl x | grep 'y;z'; then exec d; fi"
            ),
            [
                "apt-get|update",
                "apt-get|install|-y|a b|c",
                "curl|x",
                "grep|y;z",
                "d",
                "fi"
            ]
        );
        assert_eq!(shown("echo 'open"), ["echo|open"]);
        assert_eq!(shown(""), [""; 0]);
    }

    #[test]
    fn calls_are_judged() {
        let effect = |script: &str| calls(script).iter().find_map(|call| side_effect(call));
        for script in [
            "php artisan schedule:run --quiet",
            "/usr/bin/php -d x /app/artisan migrate --force",
            "curl -X POST http://h/",
            "supervisorctl restart x",
            "npx prisma migrate deploy",
        ] {
            assert!(effect(script).is_some(), "{script}");
        }
        for script in [
            "php artisan queue:monitor default",
            "php artisan migrate:status",
            "curl -fsS http://localhost/up || exit 1",
            "supervisorctl status",
            "pg_isready",
        ] {
            assert_eq!(effect(script), None, "{script}");
        }
        assert!(!migrates(&calls("php artisan migrate --isolated")[0]));
        let words = ["sh", "-ec", "a && b"].map(str::to_owned);
        assert_eq!(calls_of_words(&words).len(), 2);
    }
}
