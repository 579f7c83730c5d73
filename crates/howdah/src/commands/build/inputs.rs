//! From the command line to a target.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use howdah_build::{Entitlement, Network, NoCache, Options, SOURCE_DATE_EPOCH, Secret, Target};
use howdah_image::{Platform, Store};

use super::contexts::{self, Place};
use super::{Args, ssh};
use crate::commands::CommandError;
use crate::commands::transfer::registry_options;

/// What all targets of this call have in common.
pub(super) fn options(args: &Args) -> Result<Options, CommandError> {
    let secrets = args
        .secrets
        .iter()
        .map(|text| secret(text))
        .collect::<Result<_, _>>()?;
    let ssh_agents = args.ssh.iter().map(|text| ssh::agent(text));
    Ok(Options {
        secrets,
        ssh_agents: ssh_agents.collect::<Result<_, _>>()?,
        pull: args.pull,
        registry: registry_options(),
        allowed: args.allow.iter().copied().collect(),
    })
}

/// The one target of a Dockerfile.
pub(super) fn target(
    store: &Store,
    options: &Options,
    context: &str,
    args: &Args,
) -> Result<Target, CommandError> {
    let place = Place {
        operand: context,
        file: args.file.as_deref(),
        build_args: &args.arguments,
    };
    let mut target = place.target(store, options)?;
    target.tags.clone_from(&args.tags);
    target.stage.clone_from(&args.target);
    common(&mut target, args)?;
    Ok(target)
}

/// A target once for each platform; its images get its names together.
pub(super) fn for_platforms(target: &Target, platforms: &[Platform]) -> Vec<Target> {
    let mut all: Vec<Target> = Vec::new();
    for platform in platforms {
        if all
            .iter()
            .any(|known| known.platform.as_ref() == Some(platform))
        {
            continue;
        }
        let mut copy = target.clone();
        if platforms.len() > 1 {
            let name = format!("{} {platform}", target.name);
            name.trim().clone_into(&mut copy.name);
        }
        copy.platform = Some(platform.clone());
        all.push(copy);
    }
    if all.is_empty() {
        vec![target.clone()]
    } else {
        all
    }
}

/// Whether two targets are one image for two platforms.
pub(super) fn are_one(left: &Target, right: &Target) -> bool {
    left.platform.is_some()
        && left.platform != right.platform
        && left.dockerfile == right.dockerfile
        && left.stage == right.stage
        && left.tags == right.tags
}

/// The options that hold for every target of the call.
pub(super) fn common(target: &mut Target, args: &Args) -> Result<(), CommandError> {
    for text in &args.arguments {
        match text.split_once('=') {
            Some((name, value)) => target.build_args.insert(name.to_owned(), value.to_owned()),
            None => std::env::var_os(text)
                .and_then(|value| value.into_string().ok())
                .and_then(|value| target.build_args.insert(text.clone(), value)),
        };
    }
    if let Some(epoch) = args.source_date_epoch {
        // As buildx: RUN sees it if the Dockerfile declares the argument.
        let argument = target.build_args.entry(SOURCE_DATE_EPOCH.to_owned());
        argument.or_insert_with(|| epoch.to_string());
    }
    target.labels.extend(pairs(&args.labels, "--label")?);
    for (name, place) in pairs(&args.build_contexts, "--build-context")? {
        target
            .contexts
            .insert(name, contexts::named(&place, Path::new(""))?);
    }
    target.hosts.extend(
        args.add_hosts
            .iter()
            .map(|text| host(text))
            .collect::<Result<Vec<_>, _>>()?,
    );
    if args.network != "default" {
        target.network = network(&args.network)?;
    }
    if args.no_cache {
        target.no_cache = NoCache::Everything;
    } else if !args.no_cache_filter.is_empty() {
        target.no_cache = NoCache::Stages(args.no_cache_filter.clone());
    }
    args.limits.apply(target)?;
    target.cache_from.extend(args.cache_from.iter().cloned());
    target.cache_to.extend(args.cache_to.iter().cloned());
    Ok(())
}

fn pairs(texts: &[String], option: &str) -> Result<BTreeMap<String, String>, CommandError> {
    let pair = |text: &String| {
        let pair = text
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| CommandError::new(format!("{option} `{text}` has no `=`")).code(2))
    };
    texts.iter().map(pair).collect()
}

pub(super) fn entitlement(text: &str) -> Result<Entitlement, String> {
    [Entitlement::HostNetwork, Entitlement::Insecure]
        .into_iter()
        .find(|entitlement| entitlement.name() == text)
        .ok_or_else(|| format!("`{text}` is neither network.host nor security.insecure"))
}

pub(super) fn network(text: &str) -> Result<Network, CommandError> {
    match text {
        "default" => Ok(Network::Default),
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        _ => Err(
            CommandError::new(format!("`{text}` is not a network for builds"))
                .hint("use default, host or none")
                .code(2),
        ),
    }
}

/// `name:address` or `name=address`; an IPv6 address may stand in brackets.
pub(super) fn host(text: &str) -> Result<(IpAddr, String), CommandError> {
    let (name, address) = text.split_once(['=', ':']).unwrap_or((text, ""));
    let address = address
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse();
    let wrong = || CommandError::new(format!("`{text}` is not of the form NAME:ADDRESS")).code(2);
    Ok((address.map_err(|_| wrong())?, name.to_owned()))
}

/// `id=NAME,src=FILE`, `id=NAME,env=VARIABLE`, or `id=NAME`: a variable of that name, else a file.
fn secret(text: &str) -> Result<(String, Secret), CommandError> {
    let wrong = |what: &str| CommandError::new(format!("--secret `{text}` {what}")).code(2);
    let mut fields = BTreeMap::new();
    for field in text.split(',') {
        let (name, value) = field
            .split_once('=')
            .ok_or_else(|| wrong("has a field without `=`"))?;
        let name = match name {
            "source" => "src",
            "id" | "src" | "env" | "type" => name,
            _ => return Err(wrong("has a field other than id, src, env and type")),
        };
        fields.insert(name, value);
    }
    let id = *fields.get("id").ok_or_else(|| wrong("has no id"))?;
    let variable = match (fields.get("env"), fields.get("src"), fields.get("type")) {
        (Some(variable), _, _) => Some(*variable),
        (None, Some(source), Some(&"env")) => Some(*source),
        (None, None, _) if std::env::var_os(id).is_some() => Some(id),
        _ => None,
    };
    let secret = match variable {
        Some(variable) => {
            let value = std::env::var_os(variable).ok_or_else(|| {
                wrong(&format!("names the variable {variable}, which is not set"))
            })?;
            Secret::Value(value.into_encoded_bytes())
        }
        None => Secret::File(fields.get("src").copied().unwrap_or(id).into()),
    };
    Ok((id.to_owned(), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_files_or_variables() {
        let file = |path: &str| Secret::File(path.into());
        assert_eq!(secret("id=a,src=/x").unwrap(), ("a".to_owned(), file("/x")));
        assert_eq!(secret("type=file,id=a,source=/x").unwrap().1, file("/x"));
        assert_eq!(
            secret("id=no-such-variable").unwrap().1,
            file("no-such-variable")
        );
        assert!(matches!(
            secret("id=a,env=PATH").unwrap().1,
            Secret::Value(_)
        ));
        for text in [
            "a",
            "src=/x",
            "id=a,colour=red",
            "id=a,env=NO_SUCH_VARIABLE",
        ] {
            assert!(secret(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(
            host("db:10.0.0.1").unwrap(),
            ([10, 0, 0, 1].into(), "db".to_owned())
        );
        assert_eq!(
            host("db=[::1]").unwrap().0,
            IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
        );
        assert!(host("db").is_err());
    }
}
