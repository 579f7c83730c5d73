//! Whether an application has an artisan command.

use std::path::Path;

use super::files::{read, walk};

/// Commands of Laravel 8 to 12 itself.
const FRAMEWORK: &[&str] = &[
    "about",
    "auth:clear-resets",
    "cache:clear",
    "cache:forget",
    "cache:prune-stale-tags",
    "cache:table",
    "channel:list",
    "clear-compiled",
    "completion",
    "config:cache",
    "config:clear",
    "config:publish",
    "config:show",
    "db",
    "db:monitor",
    "db:seed",
    "db:show",
    "db:table",
    "db:wipe",
    "docs",
    "down",
    "env",
    "env:decrypt",
    "env:encrypt",
    "event:cache",
    "event:clear",
    "event:generate",
    "event:list",
    "help",
    "inspire",
    "install:api",
    "install:broadcasting",
    "key:generate",
    "lang:publish",
    "list",
    "migrate",
    "migrate:fresh",
    "migrate:install",
    "migrate:refresh",
    "migrate:reset",
    "migrate:rollback",
    "migrate:status",
    "model:prune",
    "model:show",
    "notifications:table",
    "optimize",
    "optimize:clear",
    "package:discover",
    "queue:batches-table",
    "queue:clear",
    "queue:failed",
    "queue:failed-table",
    "queue:flush",
    "queue:forget",
    "queue:listen",
    "queue:monitor",
    "queue:pause",
    "queue:prune-batches",
    "queue:prune-failed",
    "queue:restart",
    "queue:resume",
    "queue:retry",
    "queue:retry-batch",
    "queue:table",
    "queue:work",
    "route:cache",
    "route:clear",
    "route:list",
    "schedule:clear-cache",
    "schedule:finish",
    "schedule:interrupt",
    "schedule:list",
    "schedule:run",
    "schedule:test",
    "schedule:work",
    "schema:dump",
    "serve",
    "session:table",
    "storage:link",
    "storage:unlink",
    "stub:publish",
    "test",
    "tinker",
    "up",
    "vendor:publish",
    "view:cache",
    "view:clear",
];

/// The commands that an application defines, as far as its files show.
#[derive(Debug)]
pub(super) struct Commands {
    own: Vec<String>,
    /// The names of the packages that composer.json requires.
    packages: Vec<String>,
}

impl Commands {
    /// Reads an application; `None` if the directory holds none.
    pub(super) fn of(directory: &Path) -> Option<Commands> {
        read(&directory.join("artisan"))?;
        let mut own = Vec::new();
        for path in walk(directory) {
            if path.extension().is_some_and(|extension| extension == "php")
                && let Some(file) = read(&path)
            {
                own.extend(defined(&file.text));
            }
        }
        let composer = read(&directory.join("composer.json"));
        let composer: serde_json::Value = composer
            .and_then(|file| serde_json::from_str(&file.text).ok())
            .unwrap_or_default();
        let packages = ["require", "require-dev"]
            .iter()
            .filter_map(|key| composer[*key].as_object());
        let packages = packages
            .flat_map(|packages| packages.keys().cloned())
            .collect();
        Some(Commands { own, packages })
    }

    /// Whether the command surely does not exist. A package may define commands that begin with its name.
    pub(super) fn lack(&self, command: &str) -> bool {
        let group = command.split(':').next().unwrap_or(command);
        let from_package = self.packages.iter().any(|package| {
            let (vendor, name) = package.split_once('/').unwrap_or(("", package));
            vendor == group || name.contains(group)
        });
        let generator = group == "make";
        !generator
            && !from_package
            && !FRAMEWORK.contains(&command)
            && !self.own.iter().any(|own| own == command)
    }
}

/// The names in `$signature = '...'`, `#[AsCommand(name: '...')]`, `Artisan::command('...'` and the like.
fn defined(text: &str) -> Vec<String> {
    const BEFORE: [&str; 5] = [
        "$signature",
        "$name",
        "$defaultName",
        "AsCommand(",
        "Artisan::command(",
    ];
    let mut names = Vec::new();
    for marker in BEFORE {
        for (at, _) in text.match_indices(marker) {
            let rest = &text[at + marker.len()..];
            let Some(open) = rest.find(['\'', '"']).filter(|open| *open < 40) else {
                continue;
            };
            let name = rest[open + 1..].trim_start();
            let end = name.find(|end: char| end.is_whitespace() || "'\"{".contains(end));
            names.extend(end.map(|end| name[..end].to_owned()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_applications_define_them() {
        let text = "protected $signature = 'queue:health {--x}';\n#[AsCommand(name: \"a:b\")]\nArtisan::command('c', fn";
        assert_eq!(defined(text), ["queue:health", "a:b", "c"]);
        let commands = Commands {
            own: vec!["queue:health".to_owned()],
            packages: vec!["laravel/horizon".to_owned()],
        };
        for known in ["queue:health", "queue:work", "horizon:status", "make:model"] {
            assert!(!commands.lack(known), "{known}");
        }
        assert!(commands.lack("queue:healthy"));
    }
}
