//! `--metadata-file`: what buildx tells of a build (docs.docker.com, "docker buildx build --metadata-file").

use std::path::Path;

use serde_json::{Map, Value, json};

use super::Delivery;
use super::spec::{Kind, Output};
use crate::commands::CommandError;

impl Delivery<'_> {
    /// The digests of the image as it leaves at this output, or would leave.
    pub(super) fn metadata(&self, output: Option<&Output>) -> Result<Value, CommandError> {
        let default = Output::new(Kind::Image);
        let output = output.unwrap_or(&default);
        let names = self.names(output);
        self.export(&names, output, |export| {
            let bundle = export.bundle(self.store)?;
            let root = bundle.root();
            let mut told = Map::new();
            // Of an index there is no single configuration.
            if let [image] = bundle.images()
                && image.manifest.digest == root.digest
            {
                let digest = json!(image.config.digest);
                told.insert("containerimage.config.digest".to_owned(), digest);
            }
            told.insert("containerimage.descriptor".to_owned(), json!(root));
            told.insert("containerimage.digest".to_owned(), json!(root.digest));
            if !names.is_empty() {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                told.insert("image.name".to_owned(), json!(names.join(",")));
            }
            Ok(Value::Object(told))
        })
    }
}

/// One image's fields, or those of each target under its name, as `docker buildx bake` has them.
pub(super) fn write_file(path: &Path, mut told: Vec<(&str, Value)>) -> Result<(), CommandError> {
    let document = match told.as_mut_slice() {
        [(_, only)] => only.take(),
        _ => Value::Object(
            told.into_iter()
                .map(|(name, fields)| (name.to_owned(), fields))
                .collect(),
        ),
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(fs_err::write(path, text)?)
}
