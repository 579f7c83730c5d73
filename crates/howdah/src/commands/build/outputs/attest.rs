//! `--provenance`, `--sbom` and `--attest`, as buildx reads them (`util/buildflags/attests.go`).

use howdah_build::attest::{Detail, ProvenanceOptions, provenance, sbom};
use howdah_build::{Built, Options, Target};
use howdah_image::export::Attestation;
use howdah_image::{Image, Store};

use crate::commands::CommandError;

/// Flags of what is said of images that leave.
#[derive(Debug, clap::Args)]
pub(super) struct AttestArgs {
    /// Attach provenance to what leaves: true, false, or mode=min|max with builder-id=.
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,
    /// Attach a list of the packages in the image.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,
    /// The same as --provenance and --sbom in one flag: type=provenance,mode=max.
    #[arg(long = "attest", value_name = "type=provenance|sbom,...")]
    attestations: Vec<String>,
}

/// What is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    provenance: Option<ProvenanceOptions>,
    sbom: bool,
}

impl AttestArgs {
    pub(super) fn wanted(&self) -> Result<Wanted, CommandError> {
        let mut wanted = Wanted::default();
        let attests = self.attestations.iter().map(String::clone);
        let provenance = self
            .provenance
            .iter()
            .map(|mode| shorthand("provenance", mode));
        let sbom = self.sbom.iter().map(|mode| shorthand("sbom", mode));
        for text in attests.chain(provenance).chain(sbom) {
            wanted.add(&text).map_err(|what| {
                CommandError::new(format!("the attestation `{text}` {what}")).code(2)
            })?;
        }
        Ok(wanted)
    }
}

/// `--provenance=mode=max` is `--attest type=provenance,mode=max`.
fn shorthand(kind: &str, text: &str) -> String {
    match text {
        "true" | "1" => format!("type={kind}"),
        "false" | "0" => format!("type={kind},disabled=true"),
        _ => format!("type={kind},{text}"),
    }
}

impl Wanted {
    fn add(&mut self, text: &str) -> Result<(), String> {
        let fields = text
            .split(',')
            .map(|field| field.split_once('=').unwrap_or((field, "true")));
        let fields: Vec<(&str, &str)> = fields.collect();
        let value = |name: &str| {
            let found = fields.iter().rfind(|(field, _)| *field == name);
            found.map(|(_, value)| *value)
        };
        let enabled = value("disabled") != Some("true");
        let known: &[&str] = match value("type") {
            Some("provenance") => {
                let detail = match value("mode") {
                    None | Some("min") => Detail::Min,
                    Some("max") => Detail::Max,
                    Some(_) => return Err("has a mode other than min and max".to_owned()),
                };
                if value("version").is_some_and(|version| version != "v1") {
                    return Err("has a version other than v1".to_owned());
                }
                self.provenance = enabled.then(|| ProvenanceOptions {
                    detail,
                    builder_id: value("builder-id").map(str::to_owned),
                });
                &[
                    "type",
                    "disabled",
                    "mode",
                    "version",
                    "builder-id",
                    "inline-only",
                ]
            }
            Some("sbom") => {
                self.sbom = enabled;
                &["type", "disabled"]
            }
            _ => return Err("has a type other than provenance and sbom".to_owned()),
        };
        match fields.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(format!("has the unknown field `{name}`")),
            None => Ok(()),
        }
    }

    /// Makes what is wanted for a target's image.
    pub(super) fn make(
        &self,
        store: &Store,
        (target, image): (&Target, &Image),
        built: &Built,
        options: &Options,
    ) -> Result<Vec<Attestation>, CommandError> {
        let mut made = Vec::new();
        if self.sbom {
            let name = target.tags.first().map(ToString::to_string);
            let name = name.unwrap_or_else(|| image.id.to_string());
            made.push(sbom(store, image, &name)?);
        }
        if let Some(wanted) = &self.provenance {
            made.push(provenance(store, target, &built.bases, options, wanted)?);
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(provenance: Option<&str>, sbom: Option<&str>, attests: &[&str]) -> Option<Wanted> {
        let arguments = AttestArgs {
            provenance: provenance.map(str::to_owned),
            sbom: sbom.map(str::to_owned),
            attestations: attests.iter().map(|text| (*text).to_owned()).collect(),
        };
        arguments.wanted().ok()
    }

    #[test]
    fn the_notations_mean_the_same() {
        let max = wanted(Some("mode=max"), Some("true"), &[]).unwrap();
        assert_eq!(max.provenance.as_ref().unwrap().detail, Detail::Max);
        assert!(max.sbom);
        assert_eq!(
            wanted(None, None, &["type=provenance,mode=max", "type=sbom"]).unwrap(),
            max
        );
        let none = Wanted::default();
        assert_eq!(
            wanted(Some("false"), None, &["type=provenance"]).unwrap(),
            none
        );
        for text in [
            "provenance",
            "type=vex",
            "type=sbom,generator=x",
            "type=provenance,mode=full",
        ] {
            assert!(wanted(None, None, &[text]).is_none(), "{text}");
        }
    }
}
