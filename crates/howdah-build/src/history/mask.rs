//! What looks like a secret never reaches the history: not the values of such arguments and variables, not the text of
//! such files.

use howdah_dockerfile::lint::secrets;
use howdah_solver::Key;

/// Shorter values would be found in unrelated texts.
const SHORTEST_VALUE: usize = 4;
const HIDDEN: &str = "[hidden]";

/// Whether a variable of that name holds a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    secrets::names_secret(name) && !secrets::has_word(name, &["public"])
}

/// Whether a file of that path is one that people keep secrets in.
pub(super) fn is_secret_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let known = [
        "auth.json",
        ".npmrc",
        ".netrc",
        ".pypirc",
        ".git-credentials",
        ".htpasswd",
    ];
    let endings = [".pem", ".key", ".p12", ".pfx", ".keystore", ".jks"];
    let beginnings = [".env", "id_rsa", "id_ed25519", "id_ecdsa"];
    known.contains(&name.as_str())
        || endings.iter().any(|ending| name.ends_with(ending))
        || beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning))
        || ["secret", "credential"]
            .iter()
            .any(|word| name.contains(word))
}

/// Takes secrets out of the fields of a key. A hidden value keeps 16 bits of its digest: enough to see that it changed,
/// too few to find out what it is.
pub(super) fn mask(fields: &mut [(String, String)]) {
    let mut values = Vec::new();
    for (_, text) in fields
        .iter_mut()
        .filter(|(name, _)| matches!(name.as_str(), "env" | "arg"))
    {
        let Some((name, value)) = text
            .split_once('=')
            .filter(|(name, _)| is_secret_name(name))
        else {
            continue;
        };
        let digest = Key::of(value.as_bytes()).to_string();
        let masked = format!("{name}=[hidden {}]", &digest[..4]);
        if value.len() >= SHORTEST_VALUE {
            values.push(value.to_owned());
        }
        *text = masked;
    }
    // The longest first: one secret may begin with another.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for (_, text) in fields {
        for value in &values {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), HIDDEN);
            }
        }
        *text = without_passwords(text);
    }
}

/// `https://user:password@host` without the password.
fn without_passwords(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        result.push_str(before);
        let end = after
            .find(|character: char| {
                character.is_whitespace() || matches!(character, '/' | '"' | '\'')
            })
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        let userinfo = authority
            .rsplit_once('@')
            .and_then(|(user, host)| Some((user.split_once(':')?.0, host)));
        match userinfo {
            Some((user, host)) => result.extend([user, ":", HIDDEN, "@", host]),
            None => result.push_str(authority),
        }
        rest = tail;
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_hold_secrets() {
        for name in [
            "TOKEN",
            "COMPOSER_AUTH",
            "github_token",
            "APP_KEY",
            "DB_PASSWORD",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["VERSION", "PUBLIC_KEY", "KEYBOARD", "AUTHOR"] {
            assert!(!is_secret_name(name), "{name}");
        }
        for path in [
            ".env",
            "app/.env.production",
            "auth.json",
            "tls/server.key",
            "config/secrets.yml",
        ] {
            assert!(is_secret_path(path), "{path}");
        }
        assert!(!is_secret_path("composer.lock") && !is_secret_path("app/Environment.php"));
    }

    #[test]
    fn values_are_hidden_wherever_they_occur_and_a_change_still_shows() {
        let fields = |token: &str| {
            let mut fields = vec![
                (
                    "argument".to_owned(),
                    format!("curl -H {token} https://me:pass@host/x https://host/y"),
                ),
                ("arg".to_owned(), format!("API_TOKEN={token}")),
                ("env".to_owned(), "APP=prod".to_owned()),
            ];
            mask(&mut fields);
            fields
        };
        let first = fields("s3cr3t-one");
        assert_eq!(
            first[0].1,
            "curl -H [hidden] https://me:[hidden]@host/x https://host/y"
        );
        assert!(first[1].1.starts_with("API_TOKEN=[hidden ") && !first[1].1.contains("s3cr3t"));
        assert_eq!(first[2].1, "APP=prod");
        assert_ne!(first[1].1, fields("s3cr3t-two")[1].1);
    }
}
