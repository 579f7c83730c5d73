//! Instructions that only change the image's configuration.

use howdah_dockerfile::{Command, CommandLine, Fault, Healthcheck, Probe};
use howdah_image::{ContainerConfig, Healthcheck as Check};

use super::scope::set_variable;
use super::wording;

/// Docker's shell where an image names none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// A command as it is executed: shell form gets the shell in front.
pub(crate) fn command_line(command: &CommandLine, config: &ContainerConfig) -> Vec<String> {
    match command {
        CommandLine::Exec(args) => args.clone(),
        CommandLine::Shell(text) => in_shell(text, config),
    }
}

/// A command given to the image's shell.
pub(crate) fn in_shell(text: &str, config: &ContainerConfig) -> Vec<String> {
    let shell = config.shell.clone().filter(|shell| !shell.is_empty());
    let mut args = shell.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec());
    args.push(text.to_owned());
    args
}

/// Changes `config` as the (expanded) command says. Gives back the text for the history, or `None` if the command is
/// none of those handled here.
pub(crate) fn apply(
    command: &Command,
    config: &mut ContainerConfig,
    cmd_is_own: &mut bool,
) -> Result<Option<String>, Fault> {
    let text = match command {
        Command::Env(pairs) => {
            for pair in pairs {
                set_variable(&mut config.env, &pair.name.text, &pair.value.text);
            }
            format!("ENV {}", show_pairs(pairs))
        }
        Command::Label(pairs) => {
            config.labels.extend(
                pairs
                    .iter()
                    .map(|pair| (pair.name.text.clone(), pair.value.text.clone())),
            );
            format!("LABEL {}", show_pairs(pairs))
        }
        Command::User(user) => {
            config.user.clone_from(&user.text);
            format!("USER {}", user.text)
        }
        Command::Cmd(command) => {
            let args = command_line(command, config);
            *cmd_is_own = true;
            let text = format!("CMD {}", wording::quoted_list(&args));
            config.cmd = Some(args);
            // As BuildKit marks it for Windows, whatever the system is.
            config.extra.insert("ArgsEscaped".to_owned(), true.into());
            text
        }
        Command::Entrypoint(command) => {
            let args = command_line(command, config);
            let text = format!("ENTRYPOINT {}", wording::quoted_list(&args));
            config.entrypoint = Some(args);
            // A CMD of the base image was meant for the base image's entry point.
            if !*cmd_is_own {
                config.cmd = None;
            }
            text
        }
        Command::Expose(expose) => {
            let ranges = expose.ranges()?;
            let ports: Vec<String> = ranges
                .iter()
                .flat_map(howdah_dockerfile::PortRange::ports)
                .collect();
            let text = format!("EXPOSE {}", wording::list(&ports));
            config.exposed_ports.extend(ports);
            text
        }
        Command::Volume(paths) => {
            let paths: Vec<String> = paths.iter().map(|path| path.text.clone()).collect();
            let text = format!("VOLUME {}", wording::list(&paths));
            config.volumes.extend(paths);
            text
        }
        Command::StopSignal(signal) => {
            if !howdah_dockerfile::is_signal(&signal.text) {
                let what = format!("`{}` is no signal", signal.text);
                return Err(Fault::error(signal.span, what)
                    .with_help("write a name or a number, such as `SIGTERM` or `15`"));
            }
            config.stop_signal = Some(signal.text.clone());
            format!("STOPSIGNAL {}", signal.text)
        }
        Command::Shell(shell) => {
            config.shell = Some(shell.clone());
            format!("SHELL {}", wording::list(shell))
        }
        Command::Healthcheck(check) => {
            let check = healthcheck(check);
            let text = format!("HEALTHCHECK {}", wording::healthcheck(&check));
            config.healthcheck = Some(check);
            text
        }
        Command::Onbuild(trigger) => {
            // The history does not tell of it.
            config.on_build.push(trigger.expression.clone());
            return Ok(None);
        }
        _ => return Ok(None),
    };
    Ok(Some(text))
}

fn show_pairs(pairs: &[howdah_dockerfile::Pair]) -> String {
    let shown: Vec<String> = pairs
        .iter()
        .map(|pair| format!("{}={}", pair.name.text, pair.value.text))
        .collect();
    shown.join(" ")
}

fn healthcheck(check: &Healthcheck) -> Check {
    let Healthcheck::Probe(Probe {
        command,
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
    }) = check
    else {
        return Check {
            test: vec!["NONE".to_owned()],
            ..Check::default()
        };
    };
    let test = match command {
        CommandLine::Exec(args) => [vec!["CMD".to_owned()], args.clone()].concat(),
        CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    Check {
        test,
        interval: *interval,
        timeout: *timeout,
        start_period: *start_period,
        start_interval: *start_interval,
        retries: *retries,
        ..Check::default()
    }
}
