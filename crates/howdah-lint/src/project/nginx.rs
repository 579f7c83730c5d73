//! nginx: health paths that it answers itself (<https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#return>).

use super::health::HealthPaths;
use super::rules::HEALTH_ANSWERED_WITHOUT_PHP;
use super::{Place, Saying};

/// Looks at every `location` whose block returns a success by itself.
pub(super) fn check(text: &str, place: &Place, health: &HealthPaths, saying: &mut Saying) {
    let mut location: Option<(String, usize)> = None;
    for (line, statement) in statements(text) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["location", .., path, "{"] => location = Some(((*path).to_owned(), line)),
            ["return", code, ..] if code.starts_with('2') => {
                if let Some((path, line)) = location.take().filter(|(path, _)| health.has(path)) {
                    let message = format!("nginx answers `{path}` without asking PHP");
                    saying.say(place, line, &HEALTH_ANSWERED_WITHOUT_PHP, message);
                }
            }
            ["}"] => location = None,
            _ => {}
        }
    }
}

/// Statements with the line on which each begins: up to `;`, to `{` (which stays), or `}` alone. Comments are dropped.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut begin = 1;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        for character in line.chars() {
            if statement.trim().is_empty() {
                begin = index + 1;
            }
            match character {
                ';' => statements.push((begin, std::mem::take(&mut statement))),
                '{' => {
                    statement.push_str(" {");
                    statements.push((begin, std::mem::take(&mut statement)));
                }
                '}' => {
                    statement.clear();
                    statements.push((index + 1, "}".to_owned()));
                }
                other => statement.push(other),
            }
        }
        statement.push(' ');
    }
    statements
}
