//! The arguments of `RUN`.

use super::{
    Faults,
    flags::{Flags, Kind},
    heredoc,
    instruction::warn_of_near_array,
    json,
    statement::Statement,
};
use crate::{
    Device, Fault, Lexer, Network, Run, RunBody, RunMount, Security, Word, suggest::nearest,
};

/// `RUN [flags] command`
pub(super) fn run(statement: &Statement, warnings: &mut Faults) -> Result<Run, Faults> {
    let flags = Flags::read(
        statement,
        &[
            ("mount", Kind::List),
            ("network", Kind::Value),
            ("security", Kind::Value),
            ("device", Kind::List),
        ],
    )?;
    let mut faults = Faults::new();
    let lexer = Lexer::new(statement.escape);
    let mounts: Vec<RunMount> = flags
        .list("mount")
        .into_iter()
        .map(|options| RunMount { options })
        .collect();
    faults.extend(mounts.iter().filter_map(|mount| mount.check(lexer).err()));
    let devices = flags.list("device").into_iter();
    let devices = devices.filter_map(|word| match Device::parse(&word) {
        Ok(device) => Some(device),
        Err(fault) => {
            faults.push(fault);
            None
        }
    });
    let devices: Vec<Device> = devices.collect();
    let network = choice(
        &flags,
        "network",
        &[
            ("default", Network::Default),
            ("none", Network::None),
            ("host", Network::Host),
        ],
    );
    let security = choice(
        &flags,
        "security",
        &[
            ("sandbox", Security::Sandbox),
            ("insecure", Security::Insecure),
        ],
    );
    let network = network.unwrap_or_else(|fault| {
        faults.push(fault);
        Network::Default
    });
    let security = security.unwrap_or_else(|fault| {
        faults.push(fault);
        Security::Sandbox
    });
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Run {
        body: body(statement, warnings)?,
        heredocs: statement.heredocs.clone(),
        mounts,
        network,
        security,
        devices,
    })
}

fn choice<T: std::marker::Copy + Default>(
    flags: &Flags,
    name: &str,
    choices: &[(&str, T)],
) -> Result<T, Fault> {
    let Some(word) = flags.value(name) else {
        return Ok(T::default());
    };
    choices
        .iter()
        .find(|(choice, _)| *choice == word.text)
        .map(|(_, value)| *value)
        .ok_or_else(|| not_a_choice(&word, name, choices))
}

fn not_a_choice<T>(word: &Word, name: &str, choices: &[(&str, T)]) -> Fault {
    let fault = Fault::error(word.span, format!("`--{name}` cannot be `{}`", word.text));
    let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
    match nearest(&word.text, names.iter().copied()) {
        Some(choice) => fault.with_help(format!("write `--{name}={choice}`")),
        None => fault.with_help(format!("it is one of {}", names.join(", "))),
    }
}

fn body(statement: &Statement, warnings: &mut Faults) -> Result<RunBody, Fault> {
    if let Some(array) = json::array(statement, statement.rest.clone())? {
        return Ok(RunBody::Exec(array.strings));
    }
    let text = statement.rest_text();
    let Some(first) = statement.heredocs.first() else {
        if text.is_empty() {
            let warning = Fault::warning(statement.name_span(), "`RUN` runs nothing");
            warnings.push(warning.with_help("write a command behind it"));
        }
        warn_of_near_array(statement, warnings);
        return Ok(RunBody::Shell(text.to_owned()));
    };
    // Only a heredoc: its text is the script. With anything else on the line the shell must do the heredoc itself.
    if matches!(heredoc::parse(text), Ok(Some(_))) {
        let content = if first.chomp {
            heredoc::chomp(&first.content)
        } else {
            first.content.clone()
        };
        return Ok(if content.starts_with("#!") {
            RunBody::Script {
                name: first.name.clone(),
                content,
            }
        } else {
            RunBody::Shell(content)
        });
    }
    let mut script = text.to_owned();
    for heredoc in &statement.heredocs {
        script.push('\n');
        script.push_str(&heredoc.content);
        script.push_str(&heredoc.name);
    }
    Ok(RunBody::Shell(script))
}
