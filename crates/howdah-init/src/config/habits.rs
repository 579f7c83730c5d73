//! What a program wants when nothing is said: the signal that lets it finish, and the time that takes.

use std::time::Duration;

use nix::sys::signal::Signal;

/// The graceful stop signal of the program `command` starts.
///
/// php-fpm(8) and nginx(8) finish their requests on QUIT and drop them on TERM; httpd's graceful-stop is WINCH.
pub(crate) fn stop_signal(command: &[String]) -> Signal {
    let executable = command
        .first()
        .map_or("", |first| first.rsplit('/').next().unwrap_or(first));
    match executable {
        "nginx" | "openresty" => Signal::SIGQUIT,
        "apache2" | "apache2-foreground" | "httpd" | "httpd-foreground" => Signal::SIGWINCH,
        other if other.starts_with("php-fpm") => Signal::SIGQUIT,
        _ => Signal::SIGTERM,
    }
}

/// How long the program may take to stop: 60 s for one that has a job in hand, supervisord's 10 s otherwise.
pub(crate) fn stop_wait(command: &[String]) -> Duration {
    Duration::from_secs(if is_queue_program(command) { 60 } else { 10 })
}

/// Laravel's `queue:work`, `queue:listen` and `horizon`, Symfony's `messenger:consume`; also inside `sh -c "..."`.
fn is_queue_program(command: &[String]) -> bool {
    let line = command.join(" ");
    let words: Vec<_> = line
        .split(|c: char| c.is_whitespace() || "'\"();&|".contains(c))
        .collect();
    let consoles = |word: &&str| word.ends_with("artisan") || word.ends_with("console");
    words.iter().enumerate().any(|(at, word)| match *word {
        "queue:work" | "queue:listen" | "messenger:consume" => true,
        "horizon" => words[..at].iter().any(consoles),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn signals_are_those_the_programs_want() {
        assert_eq!(
            stop_signal(&words("/usr/sbin/php-fpm8.2 -F")),
            Signal::SIGQUIT
        );
        assert_eq!(stop_signal(&words("nginx -g x")), Signal::SIGQUIT);
        assert_eq!(stop_signal(&words("apache2-foreground")), Signal::SIGWINCH);
        assert_eq!(
            stop_signal(&words("php artisan queue:work")),
            Signal::SIGTERM
        );
    }

    #[test]
    fn queue_programs_get_a_minute() {
        let minute = Duration::from_mins(1);
        assert_eq!(
            stop_wait(&words("php artisan queue:work --tries=3")),
            minute
        );
        assert_eq!(stop_wait(&words("php /app/artisan horizon")), minute);
        assert_eq!(
            stop_wait(&[
                "sh".into(),
                "-c".into(),
                "exec php bin/console messenger:consume async".into()
            ]),
            minute
        );
        assert_eq!(
            stop_wait(&words("php artisan serve")),
            Duration::from_secs(10)
        );
        assert_eq!(stop_wait(&words("horizon")), Duration::from_secs(10));
    }
}
