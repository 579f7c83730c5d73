//! `howdah config`.

use std::process::ExitCode;

use super::stack::{FileArgs, ProjectArgs};
use super::{CommandError, Context};

/// Check the Compose files and print what they come to.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Args {
    #[command(flatten)]
    project: ProjectArgs,
    #[command(flatten)]
    file: FileArgs,
    /// Check only.
    #[arg(short, long)]
    quiet: bool,
    /// Print the services' names, one a line.
    #[arg(long, group = "what")]
    services: bool,
    /// Print the images' names, one a line.
    #[arg(long, group = "what")]
    images: bool,
    /// Print the volumes' names, one a line.
    #[arg(long, group = "what")]
    volumes: bool,
    /// Print the profiles' names, one a line.
    #[arg(long, group = "what")]
    profiles: bool,
    /// Print the networks' names, one a line.
    #[arg(long, group = "what")]
    networks: bool,
    /// Print the file and line each value comes from behind it.
    #[arg(long)]
    origins: bool,
    /// How the project is printed.
    #[arg(long, value_enum, default_value_t = Format::Yaml)]
    format: Format,
    /// Services; without any, all.
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(crate) fn run(context: &Context, args: &Args) -> Result<ExitCode, CommandError> {
    let stack = args.project.load(context, &args.file, &args.names)?;
    let project = stack.project();
    let lines: Vec<String> = if args.quiet {
        Vec::new()
    } else if args.services {
        project.services.keys().cloned().collect()
    } else if args.images {
        project
            .services
            .values()
            .map(|service| project.image_name(service))
            .collect()
    } else if args.volumes {
        project.volumes.keys().cloned().collect()
    } else if args.networks {
        project.networks.keys().cloned().collect()
    } else if args.profiles {
        let all = project.services.values().chain(project.disabled.values());
        let names: std::collections::BTreeSet<String> =
            all.flat_map(|service| service.profiles.clone()).collect();
        names.into_iter().collect()
    } else if args.format == Format::Json {
        vec![serde_json::to_string_pretty(
            &stack.loaded.document.to_json(),
        )?]
    } else {
        vec![
            stack
                .loaded
                .document
                .to_yaml(args.origins)
                .trim_end()
                .to_owned(),
        ]
    };
    for line in lines {
        anstream::println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
